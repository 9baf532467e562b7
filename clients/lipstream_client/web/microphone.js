/** The microphone, in chunks of mono samples at the rate of an AudioContext. */

import { CHUNK_SECONDS } from "./pcm.js";

// The avatar repeats what the microphone picks up: without echo cancellation it would repeat itself.
const CONSTRAINTS = { echoCancellation: true, noiseSuppression: true, autoGainControl: true, channelCount: 1 };

export class Microphone {
  /** onChunk: called with each chunk. onLost: called when the device goes away by itself. */
  constructor(context, stream, onChunk, onLost) {
    this.stream = stream;
    this.source = context.createMediaStreamSource(stream);
    this.node = new AudioWorkletNode(context, "microphone", {
      channelCount: 1,
      channelCountMode: "explicit",
      processorOptions: { samples: Math.round(context.sampleRate * CHUNK_SECONDS) },
    });
    this.node.port.onmessage = ({ data }) => onChunk(data);
    this.node.onprocessorerror = onLost;
    for (const track of stream.getTracks()) track.onended = onLost;
    this.source.connect(this.node);
    this.node.connect(context.destination); // its output is silent, but unconnected nodes do not run
  }

  close() {
    this.node.port.onmessage = null;
    this.source.disconnect();
    this.node.disconnect();
    for (const track of this.stream.getTracks()) {
      track.onended = null;
      track.stop();
    }
  }
}

/** Ask for the microphone. Throws an Error whose message can be shown. */
export async function openMicrophone(context, onChunk, onLost) {
  if (!navigator.mediaDevices?.getUserMedia || !context.audioWorklet) {
    throw new Error("The microphone needs a secure page. Open it as https://, or on localhost.");
  }
  await context.audioWorklet.addModule(new URL("microphone_worklet.js", import.meta.url));
  try {
    const stream = await navigator.mediaDevices.getUserMedia({ audio: CONSTRAINTS });
    return new Microphone(context, stream, onChunk, onLost);
  } catch (error) {
    throw new Error(describeError(error), { cause: error });
  }
}

/** Return the message for a person about an error of getUserMedia. */
export function describeError(error) {
  switch (error.name) {
    case "NotAllowedError":
      return "The microphone is blocked for this page. Allow it in the browser’s site settings, then try again.";
    case "NotFoundError":
      return "No microphone was found. Plug one in, then try again.";
    case "NotReadableError":
      return "The microphone is in use by another program. Close that program, then try again.";
    default:
      return `The microphone cannot be used: ${error.message}`;
  }
}
