//! The contract as Rust, made from `wit/v1`: every export of every world, so that a plugin can
//! offer them in any combination.
#![allow(clippy::all, reason = "generated")]

wasmtime::component::bindgen!({
    path: "../wit/v1",
    inline: "
        package coffer:host;
        world everything {
            include coffer:plugin/full-auth-method@1.0.0;
            export coffer:plugin/leases@1.0.0;
        }
    ",
    imports: {
        "coffer:plugin/storage.get": async | trappable,
        "coffer:plugin/storage.get-many": async | trappable,
        "coffer:plugin/storage.list": async | trappable,
        "coffer:plugin/storage.expire": async | trappable,
        "coffer:plugin/crypto.create-key": async | trappable,
        "coffer:plugin/crypto.open-key": async | trappable,
        "coffer:plugin/crypto.rotate-key": async | trappable,
        "coffer:plugin/crypto.destroy-key": async | trappable,
        "coffer:plugin/crypto.password-hash": async | trappable,
        "coffer:plugin/crypto.password-verify": async | trappable,
        "coffer:plugin/http.send": async | trappable,
        "coffer:plugin/http.send-many": async | trappable,
        "coffer:plugin/effects.intend": async | trappable,
        default: trappable,
    },
    exports: { default: async },
    trappable_error_type: { "coffer:plugin/types.error" => super::sandbox::Stop },
    with: { "coffer:plugin/crypto.key": super::imports::Key },
});
