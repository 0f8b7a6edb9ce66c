import type { Guilt } from '../simulation/judge.ts'
import type { Setting, World } from '../simulation/world.ts'

/** Somebody who lies, and how. It may do whatever its keys and its machines allow. */
export interface Adversary {
  readonly name: string
  /** What it hopes to gain. */
  readonly lie: string
  /** The world that it needs. */
  readonly setting?: Partial<Setting>
  /** Takes its place in a world that has not begun; chance is the world's. */
  enter(world: World): Guilt
}
