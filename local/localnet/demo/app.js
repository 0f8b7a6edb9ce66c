/** Shows tonight's plays, keeps notes in the browser, and says where the page came from. */
const element = (id) => document.getElementById(id)

async function showPlays() {
  const { season, plays } = await (await fetch('./plays/tonight.json')).json()
  element('season').textContent = season
  element('plays').replaceChildren(
    ...plays.map(({ title, by, at }) => {
      const item = document.createElement('li')
      const name = document.createElement('strong')
      name.textContent = title
      item.append(name, ` by ${by}, ${at}`)
      return item
    }),
  )
}

const read = () => JSON.parse(localStorage.getItem('playbill') ?? '[]')

function showNotes() {
  element('notes').replaceChildren(
    ...read().map((text) => Object.assign(document.createElement('li'), { textContent: text })),
  )
}

element('add').addEventListener('submit', (event) => {
  event.preventDefault()
  const note = element('note')
  localStorage.setItem('playbill', JSON.stringify([note.value, ...read()].slice(0, 100)))
  note.value = ''
  showNotes()
})

addEventListener('understudy:served', ({ detail }) => {
  element('source').textContent = detail.source
})

showNotes()
await showPlays()
