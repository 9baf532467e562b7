/** Runs in the audio thread: joins blocks of 128 samples to chunks and posts them. */

class MicrophoneProcessor extends AudioWorkletProcessor {
  constructor({ processorOptions }) {
    super();
    this.size = processorOptions.samples;
    this.chunk = new Float32Array(this.size);
    this.filled = 0;
  }

  process([input]) {
    let rest = input[0] ?? new Float32Array(0); // no channel: the source has ended or not started
    while (rest.length) {
      const part = rest.subarray(0, this.size - this.filled);
      this.chunk.set(part, this.filled);
      this.filled += part.length;
      rest = rest.subarray(part.length);
      if (this.filled === this.size) this.post();
    }
    return true;
  }

  post() {
    this.port.postMessage(this.chunk, [this.chunk.buffer]);
    this.chunk = new Float32Array(this.size);
    this.filled = 0;
  }
}

registerProcessor("microphone", MicrophoneProcessor);
