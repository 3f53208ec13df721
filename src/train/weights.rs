//! What a training leaves: weights with a card that says how they came to be.

use super::{Recipe, TrainError, Trainer};
use crate::model::{BuiltIn, ClassInfo, Head, ModelCard};
use std::path::Path;

/// Writes the network that did best, with its card beside it: what is written is what was measured.
///
/// # Errors
/// If a file cannot be written.
pub fn save_weights(trainer: &Trainer, out: &Path) -> Result<(), TrainError> {
    let network = trainer.network();
    let name = out.file_stem().map_or_else(|| "model".into(), |s| s.to_string_lossy().into_owned());
    let recipe = trainer.recipe();
    let positive = recipe.classes.get(1).map_or("positive", String::as_str);
    // Not held out: the epoch is the one that does best there.
    let validation = trainer
        .best_dice()
        .map_or_else(String::new, |d| format!(" Validation (chose the epoch): {positive} Dice {d:.4}."));
    let adversarial: Vec<String> = recipe.adversarial.iter().map(|a| format!("; {}", a.describe())).collect();
    let description = format!(
        "U-Net of base {} and depth {} for {positive}, trained on {} (seed {}, {}² crops in batches of {}, at most {} epochs; {}; {}{}).{validation}",
        recipe.network.base,
        recipe.network.depth,
        trainer.data(),
        recipe.seed,
        recipe.crop,
        recipe.batch,
        recipe.epochs,
        recipe.loss.describe(),
        recipe.optimizer.describe(),
        adversarial.concat(),
    );
    BuiltIn::save(out, &trainer.card(&name, &description), &network)?;
    Ok(())
}

/// Class 1 is positive.
pub(super) fn card(recipe: &Recipe, name: &str, description: &str) -> ModelCard {
    let network = &recipe.network;
    ModelCard {
        name: name.to_owned(),
        description: description.to_owned(),
        channels: network.channels,
        head: if network.outputs == 1 { Head::Sigmoid } else { Head::Softmax },
        size_rule: network.size_rule(),
        positive_class: 1,
        classes: recipe.classes.iter().map(|class| ClassInfo::new(class.clone())).collect(),
        network: Some(network.clone()),
        ..ModelCard::default()
    }
}
