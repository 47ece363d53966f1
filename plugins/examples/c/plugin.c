// Numbers in sequence: each `next` of a path is one more than the last, and no two callers get the same, because a
// call that has read what is not so any more is run again.

#include "plugin.h"

// Called before a version or a configuration goes live: notes for the operator, or a refusal.
bool exports_coffer_plugin_plugin_check(coffer_list_string_t *notes, error_t *error) {
  *notes = (coffer_list_string_t){0};
  return true;
}

bool exports_coffer_plugin_engine_handle(request_t *request, response_t *response, error_t *error) {
  char *last, next[24];
  if (!get(&request->path, &last, error)) return false;
  if (is(&request->operation, "next")) {
    snprintf(next, sizeof next, "%llu", last ? strtoull(last, NULL, 10) + 1 : 1);
    return put(&request->path, next, error) && answer(response, "{\"number\":%s}", next);
  }
  bool is_read = is(&request->operation, "read");
  if (!is_read && !is(&request->operation, "delete")) return refuse(error, "unsupported", "");
  if (!last) return refuse(error, "not-found", "");
  return (is_read || coffer_plugin_storage_delete(&request->path, error)) && answer(response, "{\"number\":%s}", last);
}
