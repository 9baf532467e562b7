/** The microphone, in pieces of mono samples at the rate of an AudioContext. */

import { PIECE_SECONDS } from "./pcm.js";

// The avatar says what it hears: without echo cancellation it would hear itself.
const WANTED = { echoCancellation: true, noiseSuppression: true, autoGainControl: true, channelCount: 1 };

export class Microphone {
  /** hear: takes each piece. gone: called when the device goes away by itself. */
  constructor(context, stream, hear, gone) {
    this.stream = stream;
    this.source = context.createMediaStreamSource(stream);
    this.node = new AudioWorkletNode(context, "microphone", {
      channelCount: 1,
      channelCountMode: "explicit",
      processorOptions: { samples: Math.round(context.sampleRate * PIECE_SECONDS) },
    });
    this.node.port.onmessage = ({ data }) => hear(data);
    this.node.onprocessorerror = gone;
    for (const track of stream.getTracks()) track.onended = gone;
    this.source.connect(this.node);
    this.node.connect(context.destination); // it puts out silence, but only what leads somewhere is run
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
export async function openMicrophone(context, hear, gone) {
  if (!navigator.mediaDevices?.getUserMedia || !context.audioWorklet) {
    throw new Error("The microphone needs a secure page: open it as https://, or on localhost.");
  }
  await context.audioWorklet.addModule(new URL("microphone_worklet.js", import.meta.url));
  try {
    return new Microphone(context, await navigator.mediaDevices.getUserMedia({ audio: WANTED }), hear, gone);
  } catch (error) {
    throw new Error(explain(error), { cause: error });
  }
}

export function explain(error) {
  switch (error.name) {
    case "NotAllowedError":
      return "The microphone is blocked for this page. Allow it in the browser’s site settings, then try again.";
    case "NotFoundError":
      return "No microphone was found. Plug one in, then try again.";
    case "NotReadableError":
      return "The microphone is in use by another program.";
    default:
      return `The microphone cannot be used: ${error.message}`;
  }
}
