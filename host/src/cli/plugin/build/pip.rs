//! Python: `componentize-py`, which puts the interpreter and the loaded modules into one component.

use std::fs;

use super::{super::Failure, Project, failed};

pub(super) const SDK: &str = include_str!("../../../../../plugin-sdk/python/coffer.py");

pub(super) fn component(project: &Project<'_>) -> Result<Vec<u8>, Failure> {
    let tool = project.tool(".venv/bin", "componentize-py").ok_or_else(|| {
        failed(
            "componentize-py is not installed: run `python3 -m venv .venv && .venv/bin/pip install -r requirements.txt` \
             in the folder of the plugin",
        )
    })?;
    let line = "-q -d build/wit -w coffer componentize --stub-wasi -p . -p build plugin -o build/component.wasm";
    project.run(&tool, &line.split(' ').collect::<Vec<_>>())?;
    Ok(fs::read(project.made("component.wasm"))?)
}
