use super::{
    super::sandbox::Sandbox,
    wit::{clock, config, context},
};

/// Headers that no plugin sees, whatever it asks for and is granted: credentials stay with the host, and where a request
/// comes from is `client-address`, which the host has established. In lower case.
pub fn is_withheld(header: &str) -> bool {
    const CREDENTIALS: [&str; 5] = ["authorization", "cookie", "proxy-authorization", "set-cookie", "x-coffer-token"];
    const ORIGIN: [&str; 6] = ["forwarded", "via", "x-real-ip", "x-client-ip", "true-client-ip", "cf-connecting-ip"];
    CREDENTIALS.contains(&header) || ORIGIN.contains(&header) || header.starts_with("x-forwarded-")
}

impl context::Host for Sandbox {
    fn mount_path(&mut self) -> wasmtime::Result<String> {
        Ok(self.call.facts.mount_path.clone())
    }

    fn request_id(&mut self) -> wasmtime::Result<String> {
        Ok(self.call.facts.request_id.clone())
    }

    fn principal(&mut self) -> wasmtime::Result<Option<String>> {
        Ok(self.call.facts.principal.clone())
    }

    fn principal_name(&mut self) -> wasmtime::Result<Option<String>> {
        Ok(self.call.facts.principal_name.clone())
    }

    fn login_user(&mut self) -> wasmtime::Result<Option<String>> {
        Ok(self.call.facts.login_user.clone())
    }

    fn callback_url(&mut self) -> wasmtime::Result<Option<String>> {
        Ok(self.call.facts.callback.as_ref().map(|callback| callback.url.clone()))
    }

    fn callback_state(&mut self) -> wasmtime::Result<Option<String>> {
        Ok(self.call.facts.callback.as_ref().map(|callback| callback.state.reveal().clone()))
    }

    fn client_address(&mut self) -> wasmtime::Result<Option<String>> {
        Ok(self.call.facts.client_address.map(|address| address.to_string()))
    }

    fn header(&mut self, name: String) -> wasmtime::Result<Option<String>> {
        let name = name.to_ascii_lowercase();
        if is_withheld(&name) || !self.call.grant.headers.contains(&name) {
            return Ok(None);
        }
        Ok(self.call.facts.headers.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone()))
    }

    fn deadline_ms(&mut self) -> wasmtime::Result<u32> {
        Ok(u32::try_from(self.left().as_millis()).unwrap_or(u32::MAX))
    }
}

impl config::Host for Sandbox {
    fn get(&mut self) -> wasmtime::Result<Vec<u8>> {
        Ok(self.call.config.to_vec())
    }
}

impl clock::Host for Sandbox {
    fn now_ms(&mut self) -> wasmtime::Result<u64> {
        Ok(u64::try_from(self.clock.now().millis()).unwrap_or(0))
    }
}
