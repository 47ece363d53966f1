//! What wit-bindgen makes of the contract: once for all imports, and once for each interface that
//! a plugin may export, so that a component exports what its author names and nothing else. The
//! linker unites the worlds.

#![allow(unsafe_code, unused, clippy::all, missing_docs)]

wit_bindgen::generate!({
    inline: "
        package coffer:imports;
        world imports { include coffer:plugin/platform@1.0.0; }
    ",
    path: "../wit/v1",
    generate_all,
});

macro_rules! exported {
    ($($name:ident: $world:literal,)*) => {$(
        pub mod $name {
            wit_bindgen::generate!({
                inline: $world,
                path: "../wit/v1",
                with: { "coffer:plugin/types@1.0.0": crate::bindings::coffer::plugin::types },
                generate_all,
                pub_export_macro: true,
            });
        }
    )*};
}

exported! {
    plugin: "package coffer:exports-plugin; world plugin { export coffer:plugin/plugin@1.0.0; }",
    engine: "package coffer:exports-engine; world engine { export coffer:plugin/engine@1.0.0; }",
    leases: "package coffer:exports-leases; world leases { export coffer:plugin/leases@1.0.0; }",
    auth: "package coffer:exports-auth; world auth { export coffer:plugin/auth@1.0.0; }",
    credentials: "package coffer:exports-credentials; world credentials { export coffer:plugin/credentials@1.0.0; }",
    maintenance: "package coffer:exports-maintenance; world maintenance { export coffer:plugin/maintenance@1.0.0; }",
}
