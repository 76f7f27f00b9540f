//! Bytes as no program writes them, for everything that reads bytes of others: mutated from a small corpus,
//! by a seed. `docs/fuzzing.md` says how to run it.
//!
//! ```text
//! corpus --mutate (structure.rs)--> input --target--> accepted or refused, in words
//!    ^                                |                  |
//!    '--- words that are new ---------'                  '--> a panic, an abort, memory, time: a fault
//! ```
//!
//! Each target runs in a process of its own, so that an abort or a stack overflow is a fault like any other.

#![allow(clippy::unwrap_used)]

mod corpus;
mod engine;
mod mutate;
mod recordings;
mod structure;
mod targets;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode};
use std::time::Duration;

use peak_alloc::PeakAlloc;
use targets::Target;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// Names the target to a process that is to carry it out.
const TARGET: &str = "FUZZ_TARGET";

/// What is asked for by the environment.
struct Plan {
    seconds: Duration,
    seed: u64,
    jobs: usize,
}

impl Plan {
    fn asked() -> Self {
        Self {
            seconds: Duration::from_secs(number("FUZZ_SECONDS", 1)),
            seed: number("FUZZ_SEED", 1),
            jobs: number("FUZZ_JOBS", 1) as usize,
        }
    }
}

fn number(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name} is {text:?}, a whole number is needed")),
        Err(_) => default,
    }
}

/// A folder of the tree.
fn tree(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Ok(name) = std::env::var(TARGET) {
        let target = targets::ALL.iter().find(|target| target.name == name).expect("a target of this name");
        return match std::env::var("FUZZ_INPUT") {
            Ok(file) => engine::once(target, Path::new(&file)),
            Err(_) => engine::fuzz(target, &Plan::asked()),
        };
    }
    match arguments.iter().find(|argument| argument.starts_with("--")).map(String::as_str) {
        Some("--list") => {
            targets::ALL.iter().for_each(|target| println!("{}: test", target.name));
            return ExitCode::SUCCESS;
        }
        Some("--make-corpus") => {
            corpus::make();
            return ExitCode::SUCCESS;
        }
        // Options of the usual test harness.
        _ => {}
    }
    let wanted: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with('-')).collect();
    let chosen =
        |target: &&Target| wanted.is_empty() || wanted.iter().any(|part| target.name.contains(*part));
    let mut waiting: Vec<&Target> = targets::ALL.iter().filter(chosen).rev().collect();
    let jobs = Plan::asked().jobs.max(1);
    let (mut running, mut failed): (Vec<(&Target, Child)>, bool) = (Vec::new(), false);
    while !waiting.is_empty() || !running.is_empty() {
        while running.len() < jobs
            && let Some(target) = waiting.pop()
        {
            let child =
                Command::new(std::env::current_exe().unwrap()).env(TARGET, target.name).spawn().unwrap();
            running.push((target, child));
        }
        std::thread::sleep(Duration::from_millis(20));
        running.retain_mut(|(target, child)| match child.try_wait().unwrap() {
            None => true,
            Some(status) => {
                if !status.success() {
                    failed = true;
                    if status.code().is_none() {
                        println!(
                            "{}: {status}; its input is {}",
                            target.name,
                            engine::keep(target, child.id(), "abort").display()
                        );
                    }
                }
                false
            }
        });
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
