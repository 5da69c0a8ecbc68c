import type { LoadContext, OptionValidationContext, Plugin } from "@docusaurus/types";

declare function qaService(context: LoadContext, options: qaService.Options): Plugin;

declare namespace qaService {
  interface Options {
    id?: string;
    /** The address of the service; if it is empty, the pages get no widget. */
    endpoint?: string;
    /** A publishable key, if the service requires one. */
    key?: string;
    /** Attributes of the widget, as in docs/widget.md of qa_service: a list is joined by `|`, an object becomes JSON. */
    attributes?: Record<string, string | number | boolean | readonly string[] | object | null>;
  }
  function validateOptions(context: OptionValidationContext<Options, Options>): Options;
}

export = qaService;
