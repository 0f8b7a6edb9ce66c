import { Title } from '../part/title.tsx'
import { hrefOf } from '../route.ts'

export function UnknownPage() {
  return (
    <>
      <Title text="No such page" />
      <p>
        There is nothing at this address. <a href={hrefOf({ page: 'overview' })}>All apps</a>
      </p>
    </>
  )
}
