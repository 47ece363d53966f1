import { answer, config, guarded, refuse } from "./build/coffer.js";

// Called before a version or a configuration goes live: notes for the operator, or a refusal.
export const plugin = guarded({ check: () => [] });

export const engine = guarded({
  handle({ operation, path }) {
    switch (operation) {
      case "read":
        return answer({ said: `${config().greeting} ${path}` });
      default:
        throw refuse("unsupported");
    }
  },
});
