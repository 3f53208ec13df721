//! Recipes as files, trainings that can be gone on with, previews: what is quick, beside a training that runs.

use super::message::Unfinished;
use super::run::{checkpoint_of, recipe_of, text};
use super::{Preview, PreviewPicture, Shared, TrainNews, TrainRequest, study};
use crate::engine::{Plane, Problem, panic_text};
use crate::train::{DataRead, Header, PreviewCrop, RecipeFile, Trainer, TrainingData, operations, preview};
use burn::module::Module;
use burn::tensor::Device;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::mpsc::Receiver;

/// Crops of a preview, at most.
const MOST_CROPS: usize = 16;
/// Unfinished trainings that are told, at most.
const MOST_FOUND: usize = 20;

pub(super) fn run(shared: &Shared, wishes: &Receiver<TrainRequest>) {
    while let Ok(mut request) = wishes.recv() {
        // While a number is dragged, only the last preview matters.
        while matches!(request, TrainRequest::Preview(_))
            && let Ok(newer) = wishes.try_recv()
        {
            if !matches!(newer, TrainRequest::Preview(_)) {
                serve(shared, newer);
            } else {
                request = newer;
            }
        }
        serve(shared, request);
    }
}

fn serve(shared: &Shared, request: TrainRequest) {
    let what = match &request {
        TrainRequest::Preview(_) => "Preview",
        TrainRequest::Load(_) => "Open recipe",
        TrainRequest::Save(..) => "Save recipe",
        TrainRequest::Price(_) => "Study",
        _ => "Train",
    };
    let served = catch_unwind(AssertUnwindSafe(|| news(shared, request)))
        .unwrap_or_else(|panic| Err(panic_text(panic.as_ref())));
    match served {
        Ok(Some(news)) => shared.tell(news),
        Ok(None) => {}
        Err(why) => shared.tell(TrainNews::Refused(Problem { what: what.to_owned(), why })),
    }
}

fn news(shared: &Shared, request: TrainRequest) -> Result<Option<TrainNews>, String> {
    Ok(Some(match request {
        TrainRequest::Preview(recipe) => TrainNews::Preview(Box::new(look(*recipe)?)),
        TrainRequest::Find(folder) => {
            let unfinished = find(&folder);
            TrainNews::Found { folder, unfinished }
        }
        TrainRequest::Load(path) => TrainNews::Loaded(Box::new(RecipeFile::read(&path).map_err(text)?), path),
        TrainRequest::Save(recipe, path) => {
            recipe.write(&path).map_err(text)?;
            TrainNews::Saved(path)
        }
        TrainRequest::Price(wish) => {
            let price = study::price(shared, &wish)?;
            TrainNews::Priced(wish, price)
        }
        _ => return Ok(None),
    }))
}

/// The first step of a training, on the CPU: it is one forward pass at most, and an attack.
fn look(recipe: RecipeFile) -> Result<Preview, String> {
    let settings = recipe.recipe().and_then(|r| r.check().map(|()| r)).map_err(text)?;
    let DataRead { data, note, .. } = recipe.data.read(&settings.classes).map_err(text)?;
    let few = crate::train::Recipe { batch: settings.batch.min(MOST_CROPS / 2), ..settings.clone() };
    let unheld = TrainingData { validate: Vec::new().into(), ..data.clone() };
    let device = Device::flex();
    let trainer =
        Trainer::new(crate::train::Recipe { patience: None, ..few.clone() }, unheld, &device).map_err(text)?;
    if settings.patience.is_some() && data.validate.is_empty() {
        return Err("early stop needs held-out images. Choose a split, or switch it off".to_owned());
    }
    let steps_per_epoch = data.train.crops(settings.crop).div_ceil(settings.batch);
    let crops = preview(&trainer, &few, &data.train, &device).map_err(text)?;
    Ok(Preview {
        data: data.train.describe(),
        note,
        held_out: data.validate.len(),
        steps_per_epoch,
        cost: operations(settings.step_flops() * (steps_per_epoch * settings.epochs) as f64),
        parameters: trainer.current().num_params(),
        crops: ordered(&crops).take(MOST_CROPS).map(picture).collect(),
        recipe,
    })
}

/// Adversarial samples, which bring their crops along, and then the crops that have none.
fn ordered(crops: &[PreviewCrop]) -> impl Iterator<Item = &PreviewCrop> {
    let sampled = move |crop: &PreviewCrop| crops.iter().any(|other| other.clean.is_some() && other.crop == crop.crop);
    let samples = crops.iter().filter(|crop| crop.clean.is_some());
    samples.chain(crops.iter().filter(move |crop| !sampled(crop)))
}

fn picture(crop: &PreviewCrop) -> PreviewPicture {
    let PreviewCrop { channels, input, output, .. } = *crop;
    let margin = (input - output) / 2;
    let mut target = vec![-1.0; input * input];
    for (y, row) in crop.target.chunks(output.max(1)).enumerate() {
        for (x, &class) in row.iter().enumerate() {
            target[(y + margin) * input + x + margin] = class.min(1.0);
        }
    }
    PreviewPicture {
        kind: crop.kind,
        crop: crop.crop,
        clean: crop.clean.as_ref().map(|clean| Plane::from_host(channels, input, input, clean.clone())),
        image: Plane::from_host(channels, input, input, crop.image.clone()),
        target: Plane::from_host(1, input, input, target),
    }
}

/// The trainings of a folder that have both checkpoint and recipe, and something left to do.
fn find(folder: &Path) -> Vec<Unfinished> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut all: Vec<(std::time::SystemTime, Unfinished)> = entries
        .filter_map(|entry| {
            let path = entry.path();
            let out =
                path.extension().is_some_and(|e| e == "checkpoint").then(|| path.with_extension("safetensors"))?;
            if !recipe_of(&out).is_file() {
                return None;
            }
            let header = Header::read(&checkpoint_of(&out)).ok().filter(|header| !header.is_finished())?;
            let time = entry.metadata().and_then(|m| m.modified()).ok()?;
            let epochs = (header.history.len(), header.recipe.epochs);
            Some((time, Unfinished { out, data: header.data, epochs }))
        })
        .collect();
    all.sort_by_key(|(time, _)| std::cmp::Reverse(*time));
    all.into_iter().take(MOST_FOUND).map(|(_, unfinished)| unfinished).collect()
}
