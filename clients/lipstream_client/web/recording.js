/** A recording: a file to mono samples, and those to pieces at the pace at which they would be spoken. */

import { PIECE_SECONDS, mix } from "./pcm.js";

const MAX_BYTES = 100 * 2 ** 20; // it is decoded as a whole
const LEAD_SECONDS = 0.12; // ahead of the clock, so that a late timer leaves no gap

/** Mono samples at the context's rate. Throws an Error whose message can be shown. */
export async function decodeRecording(context, blob) {
  if (blob.size > MAX_BYTES) {
    throw new Error(`Expected a recording of at most 100 MB; this one has ${Math.round(blob.size / 2 ** 20)} MB.`);
  }
  try {
    const buffer = await context.decodeAudioData(await blob.arrayBuffer());
    return mix(Array.from({ length: buffer.numberOfChannels }, (_, i) => buffer.getChannelData(i)));
  } catch (error) {
    const kind = blob.type || "a file of unknown type";
    throw new Error(`This browser finds no sound in it (${kind}). Try WAV, MP3, M4A or FLAC.`, { cause: error });
  }
}

/** How many samples should have been given out after so many seconds. */
export function dueSamples(seconds, rate, total) {
  return Math.min(total, Math.round((seconds + LEAD_SECONDS) * rate));
}

export class Recording {
  /** hear: takes each piece. ended: called after the last one, not when it is stopped. */
  constructor(samples, rate, hear, ended) {
    Object.assign(this, { samples, rate, hear, ended });
    this.piece = Math.round(rate * PIECE_SECONDS);
    this.given = 0;
  }

  begin() {
    this.began = performance.now();
    this.timer = setInterval(() => this.give(), 1000 * PIECE_SECONDS);
    this.give();
  }

  /** Share that has been given out. */
  get progress() {
    return this.samples.length ? this.given / this.samples.length : 1;
  }

  give() {
    const due = dueSamples((performance.now() - this.began) / 1000, this.rate, this.samples.length);
    while (this.given < due && (due === this.samples.length || this.given + this.piece <= due)) {
      const end = Math.min(this.given + this.piece, this.samples.length);
      this.hear(this.samples.subarray(this.given, end));
      this.given = end;
    }
    if (this.given === this.samples.length) {
      this.stop();
      this.ended();
    }
  }

  stop() {
    clearInterval(this.timer);
  }
}
