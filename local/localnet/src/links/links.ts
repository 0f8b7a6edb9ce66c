import { z } from 'zod'

const port = z.number().int().min(1).max(65_535)
const end = z.object({ host: z.string(), port })

/** The wiring between visitors and nodes, as `localnet` writes it down for the `links` program. */
export const linksSchema = z.object({
  places: z.array(
    z.object({
      name: z.string(),
      latitude: z.number(),
      longitude: z.number(),
      addresses: z.array(z.string()),
    }),
  ),
  /** One delay proxy per mirror: listens where its place is, and holds bytes back by distance. */
  delays: z.array(z.object({ name: z.string(), listen: end, target: end })),
  tampering: z.array(z.object({ name: z.string(), listen: end, target: end, paths: z.array(z.string()) })),
})

export type Links = z.infer<typeof linksSchema>
