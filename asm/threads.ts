// How threads share the work of one program: each operation is cut into numbered chunks that threads
// claim one by one, and a barrier separates it from the next. Which thread does a chunk never
// changes its result.
//
// The state lies in memory that all instances share; Wasm globals and data belong to one instance.

@unmanaged
export class Control {
  /** Next chunk of the current operation. */
  nextChunk: i32;
  /** Threads that have arrived at the barrier. */
  arrived: i32;
  /** Counts barriers; threads sleep on it. */
  generation: i32;
  /** Set by the host to stop at the next barrier. */
  abort: i32;
  /** What the last thread saw in `abort`, so that all threads decide alike. */
  stopped: i32;
  /** Set by the host when a thread has ended, for which no other is to wait any more. */
  quit: i32;
  /** First chunk that is not to be done by this call; 0 if all are. */
  limit: i32;
}

// Turns of the short wait before a thread sleeps: some ten microseconds, what threads of equal shares
// differ by. Waking a sleeper takes as long; longer waits steal time where cores are shared.
const SPINS: i32 = 16000;

// @ts-ignore: decorator
@inline
export function claim(control: Control): i32 {
  const chunk = atomic.add<i32>(changetype<usize>(control) + offsetof<Control>("nextChunk"), 1);
  // Without a limit no number is above it.
  return <u32> chunk > <u32> (control.limit - 1) ? i32.MAX_VALUE : chunk;
}

/** Waits for all threads; false if the run is to stop. */
export function barrier(control: Control, threads: i32): bool {
  const base = changetype<usize>(control);
  const generationAt = base + offsetof<Control>("generation");
  const generation = atomic.load<i32>(generationAt);
  if (atomic.add<i32>(base + offsetof<Control>("arrived"), 1) == threads - 1) {
    control.arrived = 0;
    control.nextChunk = 0;
    control.stopped = atomic.load<i32>(base + offsetof<Control>("abort"));
    atomic.add<i32>(generationAt, 1);
    if (threads > 1) atomic.notify(generationAt);
  } else {
    let spins = SPINS;
    while (atomic.load<i32>(generationAt) == generation) {
      if (atomic.load<i32>(base + offsetof<Control>("quit"))) return false;
      if (spins-- <= 0) atomic.wait<i32>(generationAt, generation, -1);
    }
  }
  return control.stopped == 0;
}
