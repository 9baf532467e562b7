/** Functions on audio samples. */

export const CHUNK_SECONDS = 0.04;

/** Convert float samples to 16 bits, clipped. Typed arrays are little endian on every machine that runs a browser. */
export function toS16(samples) {
  const out = new Int16Array(samples.length);
  for (let i = 0; i < samples.length; i += 1) {
    out[i] = Math.round(Math.max(-1, Math.min(1, samples[i])) * 32767);
  }
  return out;
}

/** Return the mean of all channels. */
export function mixToMono(channels) {
  if (channels.length === 1) return channels[0];
  const out = new Float32Array(channels[0].length);
  for (const channel of channels) {
    for (let i = 0; i < out.length; i += 1) out[i] += channel[i] / channels.length;
  }
  return out;
}

/** Return the level of the samples for a meter, 0 to 1: -50 dB is 0, full scale is 1. */
export function loudness(samples) {
  let sum = 0;
  for (const sample of samples) sum += sample * sample;
  const decibels = 10 * Math.log10(sum / Math.max(1, samples.length) + 1e-10);
  return Math.max(0, Math.min(1, 1 + decibels / 50));
}
