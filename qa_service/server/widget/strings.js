/*
 * The widget's texts. English is here; other languages are in strings-LANGUAGE.js and loaded when needed. `{n}` is a
 * number, `{seconds}` a number with its unit. A page overrides single texts by the attribute or property `strings`.
 */

const en = {
  heading: "Ask the documents",
  greeting: "Ask a question. Answers are quotes from the documents, with their source.",
  placeholder: "Your question",
  label: "Question",
  send: "Ask",
  launch: "Ask the documents",
  close: "Close",
  clear: "Clear history",
  suggestions: "Suggested questions",
  log: "Questions and answers",
  you: "You asked:",
  answer: "Answer",
  searching: "Searching…",
  stop: "Stop",
  halted: "Stopped.",
  stopped: "Stopped because you asked another question.",
  strong: "Strong match",
  good: "Good match",
  weak: "Weak match",
  understood: "Understood as",
  asTyped: "Search as I typed it",
  uncertain: "This may answer it",
  notFound: "Not found in these documents",
  notFoundHint: "No passage answers this well enough. Try other words, or look at the nearest passages.",
  nearest: "Nearest passages ({n})",
  sections: "Nearest sections",
  related: "Related questions",
  more: "More passages ({n})",
  whole: "Show whole passage",
  less: "Show less",
  copyCode: "Copy code",
  code: "Code",
  table: "Table",
  source: "Source",
  section: "Section:",
  page: "page {n}",
  line: "line {n}",
  lines: "lines {n}",
  copy: "Copy quote",
  share: "Copy link to this question",
  copied: "Copied",
  notCopied: "The browser does not allow copying",
  useful: "This helped",
  notUseful: "This did not help",
  why: "What was wrong?",
  reasons: ["Not what I asked", "Wrong or out of date", "Too little"],
  note: "In your own words (optional)",
  sendNote: "Send",
  thanks: "Thank you for your feedback.",
  notTaken: "Your feedback could not be sent.",
  retry: "Try again",
  waiting: "The service is busy; trying again in {seconds}.",
  newTab: "(opens in a new tab)",
  empty: "Write a question first.",
  tooLong: "A question has at most 2,000 characters; this one has {n}.",
  errors: {
    offline: "You are offline. Your question is kept; try again once you are connected.",
    unreachable: "The service can't be reached from this page.",
    slow: "This took too long.",
    denied: "This page may not use the service.",
    limited: "Too many questions for now. You can ask again in {seconds}.",
    busy: "The service is too busy. You can ask again in {seconds}.",
    invalid: "The service can't process this question; try other words.",
    missing: "There is no service at this address.",
    unreadable: "The answer could not be read.",
    failed: "The service failed to answer.",
    setup: "This question box is not set up correctly; the browser's console says why.",
  },
};

/** The languages there are, by their codes. */
export const languages = ["en", "de", "fr", "es", "pt", "it", "nl", "ja", "ko", "zh", "ar"];
const RIGHT_TO_LEFT = ["ar"];
const PATIENCE_MS = 1500;
const loaded = new Map([["en", en]]); // false after a failure

function codeOf(language) {
  const [base] = String(language).toLowerCase().split(/[-_]/);
  return languages.includes(base) ? base : "";
}

/** Load the strings of a language. Returns a promise that never waits long, or `null` if there is nothing to load. */
export function load(language) {
  const code = codeOf(language);
  if (!code || loaded.has(code)) return null;
  const pack = import(`./strings-${code}.js`).then(
    (module) => loaded.set(code, module.default),
    (error) => (loaded.set(code, false), console.warn("qa-chat: the language could not be loaded", error)),
  );
  return Promise.race([pack, new Promise((resolve) => setTimeout(resolve, PATIENCE_MS))]);
}

/**
 * Return the strings of a language (those of `de` for `de-AT`; English if it is unknown or not loaded) with single ones
 * overridden, its code as `locale`, and as `direction` how it is written: `null` for an unknown one. `preview` overrides
 * texts of preview-strings.js, which come later.
 */
export function stringsOf(language, overrides) {
  const code = codeOf(language);
  const pack = loaded.get(code);
  const locale = pack ? code : "en";
  const direction = code ? (RIGHT_TO_LEFT.includes(locale) ? "rtl" : "ltr") : null;
  return { ...merged({ ...en, ...pack }, overrides), preview: overrides?.preview, locale, direction };
}

/** Return texts with those of another object in place of those that it has, where it has the same kind. */
export function merged(parts, other) {
  const own = (key) => (other && typeof other === "object" && Object.hasOwn(other, key) ? other[key] : undefined);
  return Object.fromEntries(
    Object.entries(parts).map(([key, text]) => {
      const given = own(key);
      if (typeof text === "string") return [key, typeof given === "string" ? given : text];
      if (Array.isArray(text)) {
        return [key, Array.isArray(given) && given.every((one) => typeof one === "string") ? given : text];
      }
      return [key, merged(text, given)];
    }),
  );
}

/** Put a number, or a range as text, into a string. */
export function filled(text, n, locale) {
  // Between letters that run from right to left, a range would be turned around.
  if (typeof n !== "number") return text.replace("{n}", () => (RIGHT_TO_LEFT.includes(locale) ? `\u2066${n}\u2069` : n));
  const put = (name, options) => (text = text.replace(name, () => new Intl.NumberFormat(locale, options).format(n)));
  put("{n}", { useGrouping: "min2" });
  return put("{seconds}", { style: "unit", unit: "second", unitDisplay: "long" });
}

/** Return a share, 0 to 1, in per cent. */
export const percent = (share, locale) => new Intl.NumberFormat(locale, { style: "percent" }).format(share);

/** Return why a question is not answered; the service says it in English. */
export function reasonOf({ reason, kind, subject }, strings) {
  const own = Object.hasOwn(strings.because ?? {}, kind) && strings.because[kind];
  return own ? own.replace("{subject}", () => subject) : reason;
}
