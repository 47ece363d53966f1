#include "plugin.h"

bool exports_coffer_plugin_plugin_check(coffer_list_string_t *notes, error_t *error) {
  *notes = (coffer_list_string_t){0};
  return true;
}

bool exports_coffer_plugin_auth_login(bytes_t *credentials, step_t *step, error_t *error) {
  text_t user, nobody = text("-");
  // Whom `username` names the server has found out; none if there is no such user.
  bool is_known = coffer_plugin_context_login_user(&user), is_right = false;
  char *pin = member(credentials, "pin"), *stored;
  if (!get(is_known ? &user : &nobody, &stored, error)) return false;
  text_t given = text(pin ? pin : ""), hash = text(stored ? stored : "");
  // With nobody's hash it does the same work, and answers false.
  if (!coffer_plugin_crypto_password_verify(&given, stored ? &hash : NULL, &is_right, error)) return false;
  if (!is_known || !is_right) return refuse(error, "denied", "");
  return prove(step, &user);
}

bool exports_coffer_plugin_auth_resume(bytes_t *state, bytes_t *answer, step_t *step, error_t *error) {
  return refuse(error, "unsupported", "");
}

// A session is renewed: is this identity still good?
bool exports_coffer_plugin_auth_refresh(bytes_t *internal, identity_t *identity, error_t *error) {
  text_t subject = {.ptr = internal->ptr, .len = internal->len};
  *identity = identity_of(&subject);
  return true;
}
