/** How gently a seed is blended in. */
import { type BlendSchedule, DEFAULT_BLEND } from "../contracts/index.js";

/**
 * The ramp of a seed, by how many steps lie between two observations. While alpha rises, seed and host learn to do with as much
 * of the seed as there is, and the next rise of alpha overshoots: with the sigmoid over 20 steps, whose middle steps raise
 * alpha by 0.15, the held-out loss rose by up to 7 % at one of them (spirals), with the straight line by up to 1.4 %.
 * So alpha rises evenly, and over half of the time to the next observation where that is longer: whoever waits for the ramp
 * to be over then does not wait any longer for it.
 */
export function rampFor(stepsBetween: number): BlendSchedule {
  return { steps: Math.max(DEFAULT_BLEND.schedule.steps, Math.floor(stepsBetween / 2)), curve: "linear" };
}
