/** Runs in the audio thread: gathers blocks of 128 samples into pieces and posts them. */

class MicrophoneProcessor extends AudioWorkletProcessor {
  constructor({ processorOptions }) {
    super();
    this.size = processorOptions.samples;
    this.piece = new Float32Array(this.size);
    this.filled = 0;
  }

  process([input]) {
    let rest = input[0] ?? new Float32Array(0); // no channel: the source has ended or has not begun
    while (rest.length) {
      const part = rest.subarray(0, this.size - this.filled);
      this.piece.set(part, this.filled);
      this.filled += part.length;
      rest = rest.subarray(part.length);
      if (this.filled === this.size) this.post();
    }
    return true;
  }

  post() {
    this.port.postMessage(this.piece, [this.piece.buffer]);
    this.piece = new Float32Array(this.size);
    this.filled = 0;
  }
}

registerProcessor("microphone", MicrophoneProcessor);
