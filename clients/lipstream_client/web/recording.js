/** A recording: decoded to mono samples, and given out in chunks at the pace of speech. */

import { CHUNK_SECONDS, mixToMono } from "./pcm.js";

const MAX_BYTES = 100 * 2 ** 20; // it is decoded as a whole
const LEAD_SECONDS = 0.12; // ahead of the clock, so that a late timer leaves no gap

/** Return mono samples at the context's rate. Throws an Error whose message can be shown. */
export async function decodeRecording(context, blob) {
  if (blob.size > MAX_BYTES) {
    throw new Error(`Expected a recording of at most 100 MB; this one has ${Math.round(blob.size / 2 ** 20)} MB.`);
  }
  try {
    const buffer = await context.decodeAudioData(await blob.arrayBuffer());
    return mixToMono(Array.from({ length: buffer.numberOfChannels }, (_, i) => buffer.getChannelData(i)));
  } catch (error) {
    const type = blob.type || "a file of unknown type";
    throw new Error(`This browser finds no audio in it (${type}). Try WAV, MP3, M4A or FLAC.`, { cause: error });
  }
}

/** Return how many samples should have been given out after so many seconds. */
export function dueSamples(seconds, rate, total) {
  return Math.min(total, Math.round((seconds + LEAD_SECONDS) * rate));
}

export class Recording {
  /** onChunk: called with each chunk. onEnd: called after the last one, not when it is stopped. */
  constructor(samples, rate, onChunk, onEnd) {
    Object.assign(this, { samples, rate, onChunk, onEnd });
    this.chunkSize = Math.round(rate * CHUNK_SECONDS);
    this.position = 0;
  }

  start() {
    this.startedAt = performance.now();
    this.timer = setInterval(() => this.sendDue(), 1000 * CHUNK_SECONDS);
    this.sendDue();
  }

  /** The share that has been given out, 0 to 1. */
  get progress() {
    return this.samples.length ? this.position / this.samples.length : 1;
  }

  sendDue() {
    const due = dueSamples((performance.now() - this.startedAt) / 1000, this.rate, this.samples.length);
    while (this.position < due && (due === this.samples.length || this.position + this.chunkSize <= due)) {
      const end = Math.min(this.position + this.chunkSize, this.samples.length);
      this.onChunk(this.samples.subarray(this.position, end));
      this.position = end;
    }
    if (this.position === this.samples.length) {
      this.stop();
      this.onEnd();
    }
  }

  stop() {
    clearInterval(this.timer);
  }
}
