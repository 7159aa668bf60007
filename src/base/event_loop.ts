/**
 * Giving way to the event loop in the middle of long work.
 *
 * @module
 */

/** The part of the browsers' scheduler that is used here. */
interface TaskScheduler {
  postTask?(task: () => void): Promise<void>;
}

/**
 * Lets the event loop turn once: timers, requests and events that are due come first. Browsers delay
 * nested timers by 4 ms, but not the tasks of their scheduler. A message channel would be no faster than
 * a timer and starves the network of Deno and of workerd.
 */
export function nextTurn(): Promise<void> {
  const { scheduler } = globalThis as { scheduler?: TaskScheduler };
  return new Promise((resolve) => {
    if (scheduler?.postTask) void scheduler.postTask(resolve);
    else setTimeout(resolve, 0);
  });
}
