//! What a memory budget saves: the peak of a training step, in a process of its own.

use burn::tensor::Device;
use epsiloscope::attack::Attack;
use epsiloscope::data::synthetic::MembranesConfig;
use epsiloscope::model::unet::UNetConfig;
use epsiloscope::train::{Adversarial, Augmentation, Loss, Recipe, Role, Source, Trainer, TrainingData};
use std::process::Command;

/// MiB that the budget allows: four crops of 24 at once.
const BUDGET: u64 = 80;
/// What the child is to do: a loss, samples, a budget.
const ASKED: &str = "EPSILOSCOPE_TRAINING_MEMORY";

/// A line of `/proc/self/status` in MiB, where the system has that.
fn mebibytes(line: &str) -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let text = status.lines().find_map(|l| l.strip_prefix(line))?;
    Some(text.trim().trim_end_matches("kB").trim().parse::<f64>().ok()? / 1024.0)
}

/// MiB that one step takes at most above what the process had before.
fn rise(loss: &str, samples: &str, budget: &str) -> f64 {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "training_memory::child_takes_a_step", "--ignored", "--nocapture"])
        .env(ASKED, format!("{loss} {samples} {budget}"))
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
    let number = text.split_once("rise ").and_then(|(_, rest)| rest.split_whitespace().next());
    number.and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("{text}"))
}

#[test]
fn a_budget_lowers_the_peak_of_every_kind_of_loss_and_sample() {
    if mebibytes("VmHWM:").is_none() {
        println!("skipped: this system does not tell in /proc/self/status how much memory a process has held");
        return;
    }
    for (loss, samples) in
        [("bce-dice", "none"), ("dice", "none"), ("bce", "none"), ("bce-dice", "pgd"), ("bce", "trades")]
    {
        let (whole, parted) = (rise(loss, samples, "whole"), rise(loss, samples, "parted"));
        println!("{loss}, samples {samples}: {whole:.0} MiB, with a budget of {BUDGET} MiB {parted:.0} MiB");
        assert!(whole > 1.5 * BUDGET as f64, "{loss}, {samples}: {whole} MiB show nothing");
        assert!(parted < 0.6 * whole, "{loss}, samples {samples}: {whole} MiB, with a budget {parted} MiB");
    }
}

#[test]
#[ignore = "run by the test above, in a process of its own"]
fn child_takes_a_step() {
    let Ok(asked) = std::env::var(ASKED) else { return };
    let [loss, samples, budget] = asked.split(' ').collect::<Vec<_>>().try_into().unwrap();
    let loss = match loss {
        "bce" => Loss::Bce,
        "dice" => Loss::Dice,
        _ => Loss::default(),
    };
    let pgd = || Attack::named("pgd").unwrap().with("steps", 2.0).unwrap();
    let entry = |role| Adversarial { attack: pgd(), epsilon: 0.03, draw: false, share: 1.0, role };
    let adversarial = match samples {
        "pgd" => vec![entry(Role::Append)],
        "trades" => vec![entry(Role::Trades { beta: 6.0 })],
        _ => Vec::new(),
    };
    let recipe = Recipe {
        batch: 24,
        crop: 128,
        loss,
        memory_mib: (budget == "parted").then_some(BUDGET),
        augmentation: Augmentation::NONE,
        adversarial,
        ..Recipe::new(UNetConfig::new(8, 3), 1)
    };
    let case = MembranesConfig::sized(128).section(1).case("section");
    let data = TrainingData { train: Source::Cases(vec![case].into()), validate: Vec::new().into() };
    let mut trainer = Trainer::new(recipe, data, &Device::flex()).unwrap();
    let before = mebibytes("VmRSS:").unwrap();
    let report = trainer.step().unwrap();
    assert!(report.loss.is_finite());
    println!("rise {:.1} MiB", mebibytes("VmHWM:").unwrap() - before);
}
