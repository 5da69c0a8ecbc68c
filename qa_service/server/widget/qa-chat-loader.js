/*
 * Adds one <qa-chat> to the end of a page, with nothing but a script tag:
 * <script src="https://host/widget/qa-chat-loader.js" data-endpoint="https://host" data-key="pk_…" async></script>
 * Each data-* attribute becomes the element's attribute of that name; without data-mode it is a launcher.
 */
(() => {
  const script = document.currentScript;
  if (!script || document.querySelector("qa-chat[data-loaded]") || globalThis.__qaChatLoading) return;
  globalThis.__qaChatLoading = true;
  const put = () => {
    const element = document.createElement("qa-chat");
    element.setAttribute("mode", "launcher");
    for (const { name, value } of script.attributes) {
      if (name.startsWith("data-")) element.setAttribute(name.slice("data-".length), value);
    }
    element.setAttribute("data-loaded", "");
    document.body.append(element);
  };
  import(new URL("qa-chat-define.js", script.src).href).then(
    () => (document.body ? put() : document.addEventListener("DOMContentLoaded", put, { once: true })),
    (error) => console.error("qa-chat: the widget could not be loaded", error),
  );
})();
