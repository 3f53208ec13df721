//! The form: network, training, augmentation. What is shown are the recipe's own types; what they leave out is the default.

use super::adversarial_form::adversarial_ui;
use super::data_form::{crop_ui, data_ui, memory_ui, patience_ui, seed_ui};
use super::rows::{check, grid, kind, line, measured, number, optional};
use crate::model::unet::{Downsampling, Padding, UNetConfig, Upsampling};
use crate::train::{Augmentation, Loss, NetworkTable, OptimizerSettings, Recipe, RecipeFile, Schedule, TrainingTable};
use crate::workbench::{CommandSender, State, theme};
use eframe::egui::{CollapsingHeader, RichText, Ui};

/// Draws the form; changes `recipe`.
pub fn form_ui(ui: &mut Ui, recipe: &mut RecipeFile, state: &State, commands: &CommandSender) {
    let section = |ui: &mut Ui, name: &str, open: bool, add: &mut dyn FnMut(&mut Ui)| {
        CollapsingHeader::new(theme::semibold(name)).id_salt(("train", name)).default_open(open).show(ui, add);
    };
    section(ui, "Data", true, &mut |ui| data_ui(ui, recipe, state, commands));
    section(ui, "Network", true, &mut |ui| network_ui(ui, &mut recipe.network));
    section(ui, "Training", true, &mut |ui| training_ui(ui, recipe));
    section(ui, "Augmentation", false, &mut |ui| augmentation_ui(ui, &mut recipe.augmentation));
    let count = recipe.adversarial.len();
    let name = if count == 0 { "Adversarial samples".to_owned() } else { format!("Adversarial samples ({count})") };
    CollapsingHeader::new(theme::semibold(name)).id_salt("train adversarial").show(ui, |ui| {
        adversarial_ui(ui, &mut recipe.adversarial);
    });
    if let Err(why) = checked(recipe) {
        ui.add_space(4.0);
        ui.label(RichText::new(why).color(theme::of(ui).bad));
    }
}

/// The settings of a recipe, or what is wrong with them.
pub fn checked(recipe: &RecipeFile) -> Result<Recipe, String> {
    let settings = recipe.recipe().map_err(|e| e.to_string())?;
    settings.check().map_err(|e| e.to_string())?;
    Ok(settings)
}

fn network_ui(ui: &mut Ui, table: &mut NetworkTable) {
    let preset =
        |name: &Option<String>| name.as_deref().and_then(UNetConfig::preset).unwrap_or_else(|| UNetConfig::new(16, 4));
    grid(ui, "train network", |ui| {
        let presets = [None, Some("ronneberger"), Some("advu-net")];
        let mut chosen = presets.into_iter().find(|p| *p == table.preset.as_deref()).flatten();
        let before = chosen;
        let words = |name: &Option<&str>| match name {
            None => ("U-Net", "This project’s: batch normalisation, max pooling, padded."),
            Some("ronneberger") => {
                ("Ronneberger 2015", "Figure 1 of the U-Net paper: 64 to 1024 feature maps, unpadded. Meant for a GPU.")
            }
            Some(_) => (
                "AdvU-Net",
                "Table 1 of its paper: 64 to 1024 feature maps, strided, 224² in three channels. Meant for a GPU.",
            ),
        };
        let tip = line("Preset", "A published network; the lines below change it.");
        let reset = super::rows::row(ui, tip, chosen.is_some(), |ui| {
            let combo = eframe::egui::ComboBox::from_id_salt("preset")
                .selected_text(words(&chosen).0)
                .width(super::rows::SELECTOR);
            let combo = combo.show_ui(ui, |ui| {
                for name in presets {
                    if ui.selectable_label(chosen == name, words(&name).0).on_hover_text(words(&name).1).clicked() {
                        chosen = name;
                    }
                }
            });
            combo.response.accessible_name("Preset").on_hover_text(words(&chosen).1);
        });
        if reset {
            chosen = None;
        }
        if chosen != before {
            *table =
                NetworkTable { preset: chosen.map(str::to_owned), outputs: table.outputs, ..NetworkTable::default() };
        }
        let first = preset(&table.preset);
        optional(
            ui,
            measured("Base", "maps", "Feature maps of the first level; doubled at every level below."),
            1..=128,
            &mut table.base,
            first.base,
        );
        optional(
            ui,
            measured("Depth", "levels", "How often the resolution is halved."),
            1..=6,
            &mut table.depth,
            first.depth,
        );
        optional(
            ui,
            line("Channels", "Of the input; a grey image feeds them all."),
            1..=3,
            &mut table.channels,
            first.channels,
        );
        let mut norm = table.batch_norm.unwrap_or(first.batch_norm);
        check(ui, line("Batch norm", "Batch normalisation after each convolution."), &mut norm, first.batch_norm);
        table.batch_norm = (norm != first.batch_norm).then_some(norm);
        let mut down = table.downsampling.unwrap_or(first.downsampling);
        let words = |d: &Downsampling| match d {
            Downsampling::MaxPool => ("max pooling", "2×2."),
            Downsampling::Strided => ("stride 2", "The first convolution of each level."),
        };
        kind(
            ui,
            line("Downsampling", "How the resolution is halved."),
            &[Downsampling::MaxPool, Downsampling::Strided],
            words,
            &mut down,
            first.downsampling,
        );
        table.downsampling = (down != first.downsampling).then_some(down);
        let mut up = table.upsampling.unwrap_or(first.upsampling);
        let words = |u: &Upsampling| match u {
            Upsampling::Transposed => ("transposed", "2×2 transposed convolutions."),
            Upsampling::Bilinear => ("bilinear", "Without weights."),
        };
        kind(
            ui,
            line("Upsampling", "How the resolution is doubled."),
            &[Upsampling::Transposed, Upsampling::Bilinear],
            words,
            &mut up,
            first.upsampling,
        );
        table.upsampling = (up != first.upsampling).then_some(up);
        let mut padding = table.padding.unwrap_or(first.padding);
        let words = |p: &Padding| match p {
            Padding::Same => ("zeros", "The output is as large as the input."),
            Padding::Valid => ("none", "Each convolution loses a pixel on each side."),
        };
        kind(
            ui,
            line("Padding", "Border rule of the 3×3 convolutions."),
            &[Padding::Same, Padding::Valid],
            words,
            &mut padding,
            first.padding,
        );
        table.padding = (padding != first.padding).then_some(padding);
        optional(
            ui,
            line("Dropout", "Probability at the end of the contracting path."),
            0.0..=0.99,
            &mut table.dropout,
            first.dropout,
        );
    });
}

fn training_ui(ui: &mut Ui, file: &mut RecipeFile) {
    let bare = RecipeFile { training: TrainingTable::default(), ..file.clone() };
    let Ok(first) = bare.recipe() else { return };
    grid(ui, "train training", |ui| {
        let table = &mut file.training;
        optional(
            ui,
            line("Epochs", "How often the data are gone through."),
            1..=1_000_000,
            &mut table.epochs,
            first.epochs,
        );
        optional(
            ui,
            measured("Batch", "crops", "Crops a step. On the CPU 5 and more are faster than fewer."),
            1..=1024,
            &mut table.batch,
            first.batch,
        );
        crop_ui(ui, &mut table.crop, first.crop);
        optional(
            ui,
            line("Learning rate", "At its highest."),
            1e-6..=1.0,
            &mut table.learning_rate,
            first.learning_rate,
        );
        let mut loss = table.loss.unwrap_or(first.loss);
        loss_ui(ui, &mut loss, first.loss);
        table.loss = (loss != first.loss).then_some(loss);
        optimizer_ui(ui, &mut file.optimizer);
        schedule_ui(ui, &mut file.schedule);
        patience_ui(ui, &mut table.patience);
        memory_ui(ui, &mut table.memory_mib);
        seed_ui(ui, &mut table.seed);
    });
}

fn loss_ui(ui: &mut Ui, loss: &mut Loss, default: Loss) {
    let words = |loss: &Loss| match loss {
        Loss::Bce => ("BCE", "Binary cross-entropy, mean over pixels."),
        Loss::CrossEntropy => ("Cross-entropy", "Pixel cross-entropy over all classes."),
        Loss::Dice => ("Dice", "1 − soft Dice over the batch (Milletari et al. 2016)."),
        Loss::BceDice { .. } => ("BCE + Dice", "Cross-entropy plus a multiple of the Dice loss."),
        Loss::Focal { .. } => ("Focal", "α·(1 − p)^γ·cross-entropy (Lin et al. 2017)."),
        Loss::Tversky { .. } => {
            ("Tversky", "Dice with weights for false positives and negatives (Salehi et al. 2017).")
        }
    };
    kind(ui, line("Loss", "What is lowered."), &Loss::KINDS, words, loss, default);
    match loss {
        Loss::BceDice { dice_weight } => {
            number(ui, line("Dice weight", "What the Dice loss is multiplied by."), 0.0..=100.0, dice_weight, 1.0);
        }
        Loss::Focal { gamma, alpha } => {
            number(ui, line("γ", "How little easy pixels count."), 0.0..=10.0, gamma, 2.0);
            super::rows::switched(ui, line("α", "Weight of class 1; for one output."), 0.01..=0.99, alpha, 0.25);
        }
        Loss::Tversky { alpha, beta } => {
            number(ui, line("α", "Of false positives."), 0.0..=10.0, alpha, 0.3);
            number(ui, line("β", "Of false negatives."), 0.0..=10.0, beta, 0.7);
        }
        Loss::Bce | Loss::CrossEntropy | Loss::Dice => {}
    }
}

fn optimizer_ui(ui: &mut Ui, optimizer: &mut OptimizerSettings) {
    let words = |optimizer: &OptimizerSettings| match optimizer {
        OptimizerSettings::Adam { .. } => ("Adam", "Kingma and Ba, ICLR 2015."),
        OptimizerSettings::AdamW { .. } => {
            ("AdamW", "Adam with decoupled weight decay (Loshchilov and Hutter, ICLR 2019).")
        }
        OptimizerSettings::Sgd { .. } => ("SGD", "Gradient descent with momentum: v ← μ·v + g, w ← w − rate·v."),
    };
    let what = line("Optimiser", "How a gradient becomes a step.");
    kind(ui, what, &OptimizerSettings::KINDS, words, optimizer, OptimizerSettings::default());
    let decay = line("Weight decay", "How much weights shrink a step.");
    match optimizer {
        OptimizerSettings::Adam { beta_1, beta_2 } => betas_ui(ui, beta_1, beta_2),
        OptimizerSettings::AdamW { beta_1, beta_2, weight_decay } => {
            betas_ui(ui, beta_1, beta_2);
            number(ui, decay, 0.0..=1.0, weight_decay, 0.01);
        }
        OptimizerSettings::Sgd { momentum, weight_decay } => {
            number(ui, line("Momentum", "μ; 0 for none."), 0.0..=0.9999, momentum, 0.9);
            number(ui, decay, 0.0..=1.0, weight_decay, 0.0);
        }
    }
}

fn betas_ui(ui: &mut Ui, beta_1: &mut f64, beta_2: &mut f64) {
    number(ui, line("β₁", "Decay of the mean of gradients."), 0.0..=0.9999, beta_1, 0.9);
    number(ui, line("β₂", "Decay of the mean of their squares."), 0.0..=0.999_999, beta_2, 0.999);
}

fn schedule_ui(ui: &mut Ui, schedule: &mut Schedule) {
    let words = |schedule: &Schedule| match schedule {
        Schedule::Constant => ("Constant", "It stays."),
        Schedule::Cosine { .. } => ("Cosine", "A short rise, then half a cosine (Loshchilov and Hutter, ICLR 2017)."),
        Schedule::Linear { .. } => ("Linear", "A straight line down."),
        Schedule::Exponential { .. } => ("Exponential", "Multiplied by a factor every epoch, smoothly."),
        Schedule::Step { .. } => ("Steps", "Multiplied by a factor after every so many epochs."),
    };
    kind(ui, line("Schedule", "How the learning rate goes."), &Schedule::KINDS, words, schedule, Schedule::default());
    let floor = line("Floor", "Where it ends, as a share of the highest.");
    let factor = line("Factor", "What it is multiplied by.");
    match schedule {
        Schedule::Constant => {}
        Schedule::Cosine { floor: share } => number(ui, floor, 0.0..=1.0, share, 0.01),
        Schedule::Linear { floor: share } => number(ui, floor, 0.0..=1.0, share, 0.0),
        Schedule::Exponential { factor: by } => number(ui, factor, 0.001..=1.0, by, 0.9),
        Schedule::Step { epochs, factor: by } => {
            number(ui, measured("Every", "epochs", "How long it stays."), 1..=100_000, epochs, 10);
            number(ui, factor, 0.001..=1.0, by, 0.1);
        }
    }
}

fn augmentation_ui(ui: &mut Ui, augmentation: &mut Option<Augmentation>) {
    let usual = Augmentation::USUAL;
    let mut a = augmentation.clone().unwrap_or_else(|| usual.clone());
    ui.horizontal(|ui| {
        for (name, all, tip) in [
            ("Usual", &usual, "Flips, quarter turns, brightness, contrast, gamma and noise."),
            ("None", &Augmentation::NONE, "Crops as they are."),
        ] {
            if ui.selectable_label(a == *all, name).on_hover_text(tip).clicked() {
                a = all.clone();
            }
        }
    });
    super::data_form::note(ui, "Each amount is drawn anew for each crop, of training images only.");
    grid(ui, "train augmentation", |ui| {
        check(ui, line("Flips", "Mirrored left to right, top to bottom, both or neither."), &mut a.flips, usual.flips);
        check(ui, line("Quarter turns", "Turned by a multiple of 90°."), &mut a.quarter_turns, usual.quarter_turns);
        for (what, range, value, default) in [
            (
                measured("Rotation", "°", "Turned by up to this either way."),
                0.0..=180.0,
                &mut a.rotation,
                usual.rotation,
            ),
            (
                line("Zoom", "A part of at least this share is enlarged to the crop; 1 for none."),
                0.05..=1.0,
                &mut a.zoom,
                usual.zoom,
            ),
            (
                measured("Elastic", "px", "Standard deviation of the displacements of an elastic deformation."),
                0.0..=200.0,
                &mut a.elastic,
                usual.elastic,
            ),
            (
                line("Brightness", "Largest shift, a fraction of the grey range."),
                0.0..=1.0,
                &mut a.brightness,
                usual.brightness,
            ),
            (line("Contrast", "Largest relative change about mid-grey."), 0.0..=1.0, &mut a.contrast, usual.contrast),
            (line("Gamma", "Largest curvature of the tone curve."), 0.0..=0.99, &mut a.gamma, usual.gamma),
            (
                line(
                    "Noise",
                    "Largest standard deviation, a fraction of the grey range. The more, the less a small ε harms the network.",
                ),
                0.0..=1.0,
                &mut a.noise,
                usual.noise,
            ),
            (
                line("Saturation", "Largest relative change, of images in colour."),
                0.0..=1.0,
                &mut a.saturation,
                usual.saturation,
            ),
            (measured("Hue", "°", "Largest turn, of images in colour."), 0.0..=180.0, &mut a.hue, usual.hue),
        ] {
            number(ui, what, range, value, default);
        }
        if a.elastic > 0.0 {
            let what = measured("Elastic grid", "px", "Between the knots of the deformation.");
            number(ui, what, 4..=1024, &mut a.elastic_spacing, usual.elastic_spacing);
        }
    });
    *augmentation = (a != usual).then_some(a);
}
