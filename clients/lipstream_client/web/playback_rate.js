/** How fast to play a live stream: close behind its end, but not so close that it stalls. */

export const FAST = 1.08;
export const SLOW = 0.94;
const JUMP_SECONDS = 1.0; // beyond the target: playback jumps forward
const TOLERANCE_SECONDS = 0.12; // two fragments beyond the target: no reason to speed up yet
const INITIAL_TARGET = 0.2;
const MIN_TARGET = 0.14; // a fragment is up to 0.08 long
const MAX_TARGET = 0.8;

/**
 * Return the playback rate, and whether to jump close to the end.
 *
 * buffered: seconds of media that wait to be played, just after more came; target: how many there should be;
 * rate: the current rate, which stays until the target is met, so that it does not flutter.
 */
export function chooseRate(buffered, target, rate) {
  if (buffered > target + JUMP_SECONDS) return { rate: 1, jump: true };
  if (rate > 1) return { rate: buffered > target ? FAST : 1, jump: false };
  if (rate < 1) return { rate: buffered < target ? SLOW : 1, jump: false };
  if (buffered > target + TOLERANCE_SECONDS) return { rate: FAST, jump: false };
  if (buffered < target / 2) return { rate: SLOW, jump: false };
  return { rate: 1, jump: false };
}

/** How much should be buffered: more after each stall, slowly less without. */
export class BufferTarget {
  constructor() {
    this.seconds = INITIAL_TARGET;
  }

  /** Playback has stalled. */
  increase() {
    this.seconds = Math.min(MAX_TARGET, this.seconds * 1.5);
  }

  /** Playback has not stalled for `elapsed` seconds. */
  decrease(elapsed) {
    this.seconds = Math.max(MIN_TARGET, this.seconds * 0.98 ** elapsed);
  }
}
