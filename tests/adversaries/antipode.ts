import type { Point } from '@understudy/protocol/place'

/** The other end of the world. */
export const antipode = ({ latitude, longitude }: Point): Point => ({
  latitude: -latitude,
  longitude: longitude > 0 ? longitude - 180 : longitude + 180,
})
