#include "plugin.h"

bool exports_coffer_plugin_plugin_check(coffer_list_string_t *notes, error_t *error) {
  *notes = (coffer_list_string_t){0};
  return true;
}

static bool is_right(text_t *subject, bytes_t *credential, bool *is_right, error_t *error) {
  char *pin = member(credential, "pin"), *stored;
  if (!get(subject, &stored, error)) return false;
  text_t given = text(pin ? pin : ""), hash = text(stored ? stored : "");
  // With nobody's hash it does the same work, and answers false.
  return coffer_plugin_crypto_password_verify(&given, stored ? &hash : NULL, is_right, error);
}

bool exports_coffer_plugin_auth_login(bytes_t *credentials, step_t *step, error_t *error) {
  text_t user, nobody = text("-");
  // Whom `username` names the server has found out; none if there is no such user.
  bool is_known = coffer_plugin_context_login_user(&user), right = false;
  if (!is_right(is_known ? &user : &nobody, credentials, &right, error)) return false;
  if (!is_known || !right) return refuse(error, "denied", "");
  return prove(step, &user);
}

bool exports_coffer_plugin_auth_resume(bytes_t *state, bytes_t *answer, step_t *step, error_t *error) {
  return refuse(error, "unsupported", "");
}

// A session is renewed: is this identity still good?
bool exports_coffer_plugin_auth_refresh(bytes_t *internal, identity_t *identity, error_t *error) {
  text_t subject = {.ptr = internal->ptr, .len = internal->len};
  char *stored;
  if (!get(&subject, &stored, error)) return false;
  if (!stored) return refuse(error, "denied", "");
  *identity = identity_of(&subject);
  return true;
}

// A user's own PIN: how it is set, tried and taken away.
bool exports_coffer_plugin_credentials_enroll(text_t *subject, text_t *id, bytes_t *credential, bytes_t *made, error_t *error) {
  char *pin = member(credential, "pin");
  if (!pin || strlen(pin) < 4) return refuse_at(error, "/pin", "invalid_value", "must have four digits or more");
  text_t given = text(pin), hash;
  *made = (bytes_t){0};
  return coffer_plugin_crypto_password_hash(&given, &hash, error) &&
         coffer_plugin_storage_put(subject, (bytes_t *)&hash, NULL, error);
}

bool exports_coffer_plugin_credentials_verify(text_t *subject, bytes_t *credential, bool *right, error_t *error) {
  return is_right(subject, credential, right, error);
}

bool exports_coffer_plugin_credentials_list(text_t *subject, bytes_t *list, error_t *error) {
  char *stored;
  if (!get(subject, &stored, error)) return false;
  text_t found = text(stored ? "[{\"id\":\"pin\"}]" : "[]");
  coffer_string_dup_n((text_t *)list, (const char *)found.ptr, found.len);
  return true;
}

bool exports_coffer_plugin_credentials_remove(text_t *subject, text_t *id, error_t *error) {
  return (id && !is(id, "pin")) || coffer_plugin_storage_delete(subject, error);
}
