/**
 * Server-sent events.
 *
 * @module
 */

/** Sends an event: its name, and data that becomes one line of JSON. */
export type SendEvent = (name: string, data: unknown) => void;

/**
 * The body of a `text/event-stream`.
 *
 * @param run Sends events; the stream ends when it does. What it throws breaks the stream.
 * @param onCancel Called when the reader goes away. Nothing is sent from then on.
 */
export function eventStream(
  run: (send: SendEvent) => Promise<void>,
  onCancel: () => void,
): ReadableStream<Uint8Array<ArrayBuffer>> {
  const encoder = new TextEncoder();
  let open = true;
  return new ReadableStream({
    async start(controller) {
      const send: SendEvent = (name, data) => {
        if (!open) return;
        controller.enqueue(encoder.encode(`event: ${name}\ndata: ${JSON.stringify(data)}\n\n`));
      };
      await run(send);
      if (open) controller.close();
    },
    cancel() {
      open = false;
      onCancel();
    },
  });
}
