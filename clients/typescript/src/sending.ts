/** How requests are tried again, and how responses and errors are read. */

import type { components } from "./openapi.js";

type Problem = components["schemas"]["Problem"];

const BUSY = new Set([429, 503, 504]);
const MAX_RETRY_AFTER_SECONDS = 60;
const FIRST_WAIT_SECONDS = 0.1;
const MAX_WAIT_SECONDS = 5;

/** The service can't be reached, or responded with an error. */
export class ServiceError extends Error {
  override readonly name = "ServiceError";

  constructor(
    message: string,
    /** The HTTP status; undefined without a response. */
    readonly status?: number,
    /** The problem document, if the response had one. */
    readonly problem?: Problem,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** Sends a request until the service is not busy, with jitter and no sooner than `Retry-After`, for `patience` seconds. */
export async function retried(patience: number, send: () => Promise<Response>): Promise<Response> {
  const began = performance.now();
  for (let tries = 0; ; tries++) {
    let failed: ServiceError;
    let named = 0;
    try {
      const response = await send();
      if (response.ok) return response;
      failed = await errorOf(response);
      if (!BUSY.has(response.status)) throw failed;
      named = retryAfter(response);
    } catch (error) {
      if (error instanceof ServiceError) throw error;
      failed = new ServiceError(`the service can't be reached: ${reasonOf(error)}`, undefined, undefined, { cause: error });
    }
    if (performance.now() - began >= 1000 * patience) throw failed;
    const most = Math.min(MAX_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2 ** tries);
    await new Promise((resolve) => setTimeout(resolve, 1000 * (named + Math.random() * most)));
  }
}

/** Returns the JSON of a response. */
export async function read<Body>(response: Response): Promise<Body> {
  try {
    return (await response.json()) as Body;
  } catch (error) {
    const message = `${originOf(response)} does not respond like a qa_service`;
    throw new ServiceError(message, response.status, undefined, { cause: error });
  }
}

async function errorOf(response: Response): Promise<ServiceError> {
  const origin = originOf(response);
  try {
    const problem = (await response.json()) as Partial<Problem> | null;
    if (typeof problem?.detail === "string" && typeof problem.type === "string") {
      return new ServiceError(`${origin} answered ${response.status}: ${problem.detail}`, response.status, problem as Problem);
    }
  } catch {
    // A proxy's page, or nothing.
  }
  return new ServiceError(`${origin} answered ${response.status}`, response.status);
}

function originOf(response: Response): string {
  return response.url ? new URL(response.url).origin : "the service";
}

function retryAfter(response: Response): number {
  const given = response.headers.get("Retry-After") ?? "";
  return /^\d+$/.test(given) ? Math.min(Number(given), MAX_RETRY_AFTER_SECONDS) : 0;
}

function reasonOf(error: unknown): string {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  return cause instanceof Error ? cause.message || cause.name : String(cause);
}
