/* Docusaurus plugin: adds the chat widget of qa_service to every page, by one script tag behind the site's own root. */

"use strict";

module.exports = function qaService(_, { endpoint, key, attributes }) {
  const given = scriptAttributes(endpoint, key, attributes);
  return {
    name: "docusaurus-plugin-qa-service",
    injectHtmlTags: () => (given ? { postBodyTags: [{ tagName: "script", attributes: { ...given, async: true } }] } : {}),
  };
};

module.exports.validateOptions = ({ options: { id, endpoint = "", key = "", attributes = {}, ...others } }) => {
  const unknown = Object.keys(others);
  if (unknown.length) throw new Error(`qa-service: option ${JSON.stringify(unknown[0])} is unknown; options are endpoint, key and attributes`);
  scriptAttributes(endpoint, key, attributes);
  return { id, endpoint, key, attributes };
};

/** Return the attributes of the loader's script tag, unescaped; `null` without an endpoint. */
function scriptAttributes(endpoint, key, attributes) {
  if (!endpoint) return null;
  if (!/^https?:\/\/[^\s/@]+(\/\S*)?$/.test(endpoint)) {
    throw new Error(`qa-service: endpoint is ${JSON.stringify(endpoint)}; it must be a complete address such as https://qa.example.org`);
  }
  if (key.startsWith("sk_")) {
    throw new Error("qa-service: key is secret, but everyone could read it on the pages; use a publishable one (pk_…)");
  }
  const base = endpoint.replace(/\/+$/, "");
  const written = { src: `${base}/widget/qa-chat-loader.js` };
  // The search page has the query parameter q itself.
  for (const [name, value] of Object.entries({ endpoint: base, key: key || null, "share-param": "ask", ...attributes })) {
    if (!/^[a-z][a-z0-9-]*$/.test(name)) {
      throw new Error(`qa-service: attributes has ${JSON.stringify(name)}; names are written as in HTML, such as "top-k"`);
    }
    if (value !== null && value !== undefined && value !== false) written[`data-${name}`] = textOf(value);
  }
  return written;
}

function textOf(value) {
  if (value === true) return "";
  if (Array.isArray(value)) return value.join("|"); // suggestions
  return typeof value === "object" ? JSON.stringify(value) : String(value); // strings is an object
}
