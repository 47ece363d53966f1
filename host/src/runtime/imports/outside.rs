//! Deeds outside of the server. Not yet: the gateway through which requests leave comes with the
//! plugin platform, and so does the journal of intents. Until then every host is refused, one
//! that the grant does not name as `denied`, any other as `unavailable`; and so is every intent.

use super::{
    super::{
        Fault,
        sandbox::{Sandbox, Stop},
    },
    wit::{
        effects,
        http::{Host, Request, Response},
        types::Error,
    },
};
use crate::limits;

impl Host for Sandbox {
    fn send(&mut self, request: Request) -> Result<Response, Stop> {
        self.refuse(&request)
    }

    fn send_many(&mut self, requests: Vec<Request>) -> wasmtime::Result<Vec<Result<Response, Error>>> {
        if requests.len() > limits::PLUGIN_GET_MANY {
            return Err(Fault::Limit("requests").into());
        }
        let refuse = |request| match self.refuse(request) {
            Ok(response) => Ok(Ok(response)),
            Err(Stop::Told(error)) => Ok(Err(error)),
            Err(Stop::Halt(fault)) => Err(fault.into()),
        };
        requests.iter().map(refuse).collect()
    }
}

impl Sandbox {
    fn refuse(&self, request: &Request) -> Result<Response, Stop> {
        let after_scheme = request.url.split_once("://").map_or("", |(_, rest)| rest);
        let authority = after_scheme.split(['/', '?', '#']).next().unwrap_or("");
        let host = authority.rsplit('@').next().and_then(|host| host.split(':').next()).unwrap_or("");
        match self.call.grant.http.iter().any(|granted| granted.host.eq_ignore_ascii_case(host)) {
            true => Err(Stop::told("unavailable", "requests to other hosts are not offered yet")),
            false => Err(Stop::told("denied", "the grant does not name this host")),
        }
    }
}

impl effects::Host for Sandbox {
    fn intend(&mut self, _undo: Vec<u8>) -> Result<(), Stop> {
        if self.call.read_only {
            return Err(Fault::Invalid("it intends in a call that may only read".to_owned()).into());
        }
        Err(Stop::told("unavailable", "deeds outside are not offered yet"))
    }
}
