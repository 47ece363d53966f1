use serde::de::DeserializeOwned;

use crate::{Error, Result, bindings, config};

/// Looks at the configuration before it goes live. Every plugin has one: `export!` gives the
/// default, which only reads the configuration, unless `check` is among what it is told to export.
pub trait Check: DeserializeOwned {
    /// Notes for the operator. What it writes is dropped; `at` in its problems points into the configuration.
    fn check(&self) -> Result<Vec<String>> {
        Ok(Vec::new())
    }
}

impl<P: Check> bindings::plugin::exports::coffer::plugin::plugin::Guest for P {
    fn check() -> Result<Vec<String>> {
        hear_panics();
        config::read::<P>()?.check()
    }
}

/// Every call begins here: the plugin is made of its configuration, which `check` has seen.
pub(crate) fn begin<P: DeserializeOwned>() -> Result<P> {
    hear_panics();
    config::read().map_err(|_| Error::internal("the configuration is not as this version of the plugin reads it"))
}

/// A panic's place goes to the log. Its words only if they stand so in the source: others may
/// quote what the plugin was just given.
fn hear_panics() {
    #[cfg(target_arch = "wasm32")]
    {
        static ONCE: std::sync::Once = std::sync::Once::new();
        ONCE.call_once(|| {
            std::panic::set_hook(Box::new(|info| {
                let place = info.location().map(ToString::to_string).unwrap_or_default();
                let words = info.payload().downcast_ref::<&str>().copied().unwrap_or("panicked");
                crate::log::error(words, &[("at", &place)]);
            }));
        });
    }
}

/// Makes a component of a plugin: `export!(Kv: engine)`, `export!(Password: auth, credentials)`.
/// After the colon stands what it exports, of `engine`, `leases`, `auth`, `credentials`,
/// `maintenance` and `check`; it has to implement the trait of each. `plugin.toml`, beside the
/// plugin's `Cargo.toml`, is embedded.
#[macro_export]
macro_rules! export {
    ($plugin:ident: $($export:ident),+ $(,)?) => {
        $crate::__check!($plugin: $($export)+);
        $($crate::__export!($plugin $export);)+
        #[cfg(target_arch = "wasm32")]
        #[allow(unsafe_code)]
        const _: () = {
            const TEXT: &[u8] = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/plugin.toml"));
            #[used]
            #[unsafe(link_section = "coffer:manifest")]
            static MANIFEST: [u8; TEXT.len()] = {
                let mut bytes = [0; TEXT.len()];
                bytes.copy_from_slice(TEXT);
                bytes
            };
        };
    };
}

/// Implements `Check` unless the author does.
#[doc(hidden)]
#[macro_export]
macro_rules! __check {
    ($plugin:ident: check $($rest:ident)*) => { $crate::__export!($plugin plugin); };
    ($plugin:ident: $other:ident $($rest:ident)*) => { $crate::__check!($plugin: $($rest)*); };
    ($plugin:ident:) => {
        impl $crate::Check for $plugin {}
        $crate::__export!($plugin plugin);
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __export {
    ($plugin:ident check) => {};
    ($plugin:ident $export:ident) => {
        const _: () = {
            // On any other target this only asks for the trait.
            #[cfg(not(target_arch = "wasm32"))]
            const fn exports<T: $crate::private::$export::exports::coffer::plugin::$export::Guest>() {}
            #[cfg(not(target_arch = "wasm32"))]
            exports::<$plugin>();
            #[cfg(target_arch = "wasm32")]
    $crate::private::$export::export!($plugin with_types_in $crate::private::$export);
        };
    };
}
