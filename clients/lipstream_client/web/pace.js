/** How fast to play a stream that is live: close behind its end, but not so close that it stops. */

export const FAST = 1.08;
export const SLOW = 0.94;
const TOO_FAR = 1.0; // seconds behind where it should be from which it jumps
const SLACK = 0.12; // two fragments more than wanted are no reason to hurry
const FIRST = 0.2;
const LEAST = 0.14; // a fragment is up to 0.08 long
const MOST = 0.8;

/**
 * ahead: seconds of media that wait to be played, just after more came; target: how many there should be; rate: the
 * present one, which is kept until the target is met, so that it does not flutter.
 */
export function pace(ahead, target, rate) {
  if (ahead > target + TOO_FAR) return { rate: 1, jump: true };
  if (rate > 1) return { rate: ahead > target ? FAST : 1, jump: false };
  if (rate < 1) return { rate: ahead < target ? SLOW : 1, jump: false };
  if (ahead > target + SLACK) return { rate: FAST, jump: false };
  if (ahead < target / 2) return { rate: SLOW, jump: false };
  return { rate: 1, jump: false };
}

/** How much should wait: more after it ran dry, slowly less while it does not. */
export class Cushion {
  constructor() {
    this.seconds = FIRST;
  }

  ranDry() {
    this.seconds = Math.min(MOST, this.seconds * 1.5);
  }

  /** elapsed: seconds in which it did not run dry. */
  wentWell(elapsed) {
    this.seconds = Math.max(LEAST, this.seconds * 0.98 ** elapsed);
  }
}
