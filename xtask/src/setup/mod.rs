//! Everything that building and testing need, gotten once.
//!
//! Invariants: what is healthy is not touched, and looking costs no more than starting a few
//! programs; what is broken is gotten again; one failure does not stop the other parts, and each
//! names the command that gets the part by hand.

mod apt;
mod cargo_tool;
mod node_packages;
mod part;
mod python;
mod wasm;

use std::fs;

use anyhow::{Context as _, Result, anyhow, bail};

use crate::console;
use crate::places::Places;
use crate::shared_target::{lock, locked_version, read_lock_file};
use crate::steps::{self, Step};

pub(crate) use apt::{AptPackage, CHROMIUM_PROGRAMS};
pub(crate) use cargo_tool::CargoTool;
pub(crate) use node_packages::NodePackages;
pub(crate) use part::{Need, Part};
pub(crate) use python::PythonPackages;
pub(crate) use wasm::{WasmTarget, WasmToolchain};

/// What the builds use, and which optional parts are missing.
#[derive(Debug)]
pub(crate) struct Machine {
    /// Builds for wasm32.
    pub(crate) wasm: WasmToolchain,
    /// Makes the Worker's module.
    pub(crate) worker_build: CargoTool,
    /// Makes the module's bindings.
    pub(crate) wasm_bindgen: CargoTool,
    /// The doubles written in Python, when they are there.
    pub(crate) python: PythonPackages,
    /// What is not there, each with its remedy.
    pub(crate) missing: Vec<String>,
}

/// A row of parts that are gotten one after another; the rows go side by side.
type Row = Vec<Box<dyn Part>>;

/// All parts of a checkout.
pub(crate) fn parts(places: &Places) -> Result<Vec<Row>> {
    // apt takes one customer at a time, and two cargo installs only get in each other's way.
    Ok(vec![
        vec![
            Box::new(WasmTarget::new(places)?),
            Box::new(AptPackage::chromium()),
            Box::new(AptPackage::restic()),
        ],
        vec![Box::new(wasm_bindgen(places)?), Box::new(worker_build(places))],
        vec![Box::new(NodePackages::new(places))],
        vec![Box::new(PythonPackages::new(places)?)],
    ])
}

/// Gets what is missing.
pub(crate) fn ensure(places: &Places) -> Result<Machine> {
    if parts(places)?.iter().flatten().any(|part| !part.healthy() && part.obtainable()) {
        get(places)?;
    }
    let missing = parts(places)?
        .iter()
        .flatten()
        .filter(|part| !part.healthy())
        .map(|part| format!("{} is missing; {}", part.name(), part.remedy()))
        .collect();
    let Some(wasm) = WasmTarget::new(places)?.toolchain() else {
        bail!("the wasm32 target is missing; {}", WasmTarget::new(places)?.remedy());
    };
    Ok(Machine {
        wasm,
        worker_build: worker_build(places),
        wasm_bindgen: wasm_bindgen(places)?,
        python: PythonPackages::new(places)?,
        missing,
    })
}

fn get(places: &Places) -> Result<()> {
    fs::create_dir_all(places.cache())
        .with_context(|| format!("creating {}", places.cache().display()))?;
    let _lock = lock(&places.cache().join("setup.lock"))?;
    console::note("setting up (the first time takes a few minutes)");
    let rows = parts(places)?.into_iter().map(|row| row.into_iter().filter_map(step).collect());
    let failures = steps::side_by_side(rows.collect());
    let (mut broken, mut skipped) = (Vec::new(), Vec::new());
    for (need, failure) in failures {
        match need {
            Need::Everything => broken.push(failure),
            Need::SomeTests => skipped.push(failure),
        }
    }
    for failure in &skipped {
        console::note(&format!("without it some tests are skipped: {failure:#}"));
    }
    if broken.is_empty() {
        // Not needed again before a tool's next version.
        return cargo_tool::remove_folder(&cargo_tool::artefacts(places));
    }
    let report: Vec<String> = broken.iter().map(|failure| format!("- {failure:#}")).collect();
    Err(anyhow!("setup is not complete:\n{}", report.join("\n")))
}

/// The step that gets a part, unless it is there.
fn step(part: Box<dyn Part>) -> Option<Step<Need>> {
    if part.healthy() || !part.obtainable() {
        return None;
    }
    Some(Step {
        name: part.name(),
        tag: part.need(),
        work: Box::new(move || {
            part.install().with_context(|| format!("{}; {}", part.name(), part.remedy()))?;
            if !part.healthy() {
                bail!("{} was installed and does not work; {}", part.name(), part.remedy());
            }
            Ok(())
        }),
    })
}

fn wasm_bindgen(places: &Places) -> Result<CargoTool> {
    let lock_file = read_lock_file(places.root())?;
    let version = locked_version(&lock_file, "wasm-bindgen")
        .context("Cargo.lock has no wasm-bindgen: the Worker's dependencies are not resolved")?;
    Ok(CargoTool::new(places, "wasm-bindgen-cli", "wasm-bindgen", version))
}

fn worker_build(places: &Places) -> CargoTool {
    CargoTool::new(places, "worker-build", "worker-build", cargo_tool::WORKER_BUILD.to_owned())
}
