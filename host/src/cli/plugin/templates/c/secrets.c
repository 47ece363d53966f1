#include "plugin.h"

// Called before a version or a configuration goes live: notes for the operator, or a refusal.
bool exports_coffer_plugin_plugin_check(coffer_list_string_t *notes, error_t *error) {
  *notes = (coffer_list_string_t){0};
  return true;
}

bool exports_coffer_plugin_engine_handle(request_t *request, response_t *response, error_t *error) {
  if (!is(&request->operation, "read")) return refuse(error, "unsupported", "");
  bytes_t config;
  coffer_plugin_config_get(&config);
  char *greeting = member(&config, "greeting"), *said = NULL;
  said = malloc(strlen(greeting) + request->path.len + 2);
  sprintf(said, "%s %.*s", greeting, (int)request->path.len, (const char *)request->path.ptr);
  return answer(response, "{\"said\":%s}", quoted(said));
}
