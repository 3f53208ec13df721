//! The work behind a moved slider, on the CPU: gradient, forward, ε tick, tick to texture, curve.
//!
//! A U-Net of base 16 and depth 4 with batch normalisation, at 256² and 512². The weights and images are left in
//! `$EPSILOSCOPE_PEERS` (or `target/peers`) for `benches/peers/run.py`, which does the same work in PyTorch;
//! `benches/peers/compare.py` runs both and prints their ratios.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use burn::tensor::activation::sigmoid;
use burn::tensor::{Device, Tensor};
use criterion::{BatchSize, Criterion};
use epsiloscope::attack::{Direction, Method, input_gradient};
use epsiloscope::data::{Bounds, Case, Image, Mask, Provenance, StoredType};
use epsiloscope::model::unet::UNetConfig;
use epsiloscope::model::{BuiltIn, ClassInfo, Head, Logits, ModelCard, SizeRule};
use epsiloscope::study::{Subject, Sweep, SweepPlan};
use epsiloscope::tensor::to_host;
use std::cell::OnceCell;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const FGSM: Method = Method::GradientSign { ascend: true };
/// Of the curve, in grey levels of 8 bits.
const LEVELS: [f64; 10] = [0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0];

/// Where weights and images are left for the other side.
fn folder() -> PathBuf {
    std::env::var_os("EPSILOSCOPE_PEERS")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target/peers"), PathBuf::from)
}

/// Writes the weights once, and always the same.
fn model() -> BuiltIn {
    let weights = folder().join("unet16.safetensors");
    let device = Device::flex();
    if !weights.exists() || !weights.with_extension("toml").exists() {
        std::fs::create_dir_all(folder()).unwrap();
        let network = UNetConfig::new(16, 4);
        let card = ModelCard {
            name: "unet16".into(),
            description: "Random weights, for timing.".into(),
            channels: 1,
            head: Head::Sigmoid,
            size_rule: SizeRule::MultipleOf(16),
            positive_class: 1,
            classes: ["cell", "membrane"].map(|name| ClassInfo { name: name.into() }).into(),
            network: network.clone(),
        };
        device.seed(16);
        BuiltIn::save(&weights, &card, &network.init(&device)).unwrap();
    }
    BuiltIn::load(&weights, &device).unwrap()
}

/// Cells of irregular size with dark walls: an image and its mask of walls, the same on every machine.
fn case(size: usize) -> Case {
    let at = |i: usize| ((i % size) as f32 / 24.0, (i / size) as f32 / 24.0);
    let wall = |i: usize| {
        let (x, y) = at(i);
        (x + (1.3 * y).sin()).sin() * (y + (0.7 * x).cos()).sin()
    };
    let pixels: Vec<f32> = (0..size * size)
        .map(|i| {
            let grain = ((i * 2_654_435_761) >> 7) % 41;
            (60.0 + 150.0 * wall(i).abs().sqrt() + grain as f32 - 20.0).round().clamp(0.0, 255.0)
        })
        .collect();
    let classes: Vec<u8> = (0..size * size).map(|i| (wall(i).abs() < 0.12).into()).collect();
    let case = Case {
        name: format!("{size}²"),
        image: Image::new(1, size, size, pixels).unwrap(),
        bounds: Bounds::EIGHT_BIT,
        stored: StoredType::U8,
        label: Some(Mask { height: size, width: size, classes: classes.into() }),
        spacing: None,
        provenance: Provenance::default(),
    };
    write_for_the_other_side(&case);
    case
}

/// `case-SIZE.safetensors`: `x` and `target`, `[1, 1, h, w]`.
fn write_for_the_other_side(case: &Case) {
    let [height, width] = case.size();
    let x: Vec<u8> = case.image.pixels.iter().flat_map(|v| (v / 255.0).to_le_bytes()).collect();
    let label = case.label.as_ref().unwrap();
    let target: Vec<u8> = label.classes.iter().flat_map(|&c| f32::from(c).to_le_bytes()).collect();
    let view = |bytes| {
        safetensors::tensor::TensorView::new(safetensors::Dtype::F32, vec![1, 1, height, width], bytes).unwrap()
    };
    let file = safetensors::serialize([("x", view(&x)), ("target", view(&target))], None).unwrap();
    std::fs::write(folder().join(format!("case-{height}.safetensors")), file).unwrap();
}

struct Work {
    subject: Arc<Subject>,
    direction: Direction,
}

impl Work {
    fn new(size: usize) -> Self {
        let subject = Arc::new(Subject::new(Arc::new(case(size)), Arc::new(model())).unwrap());
        let direction = subject.direction(FGSM).unwrap();
        Self { subject, direction }
    }

    fn gradient(&self) -> Tensor<4> {
        input_gradient(self.subject.model.as_ref(), &self.subject.x, &self.subject.objective()).1
    }

    fn forward(&self) -> Tensor<4> {
        let Logits::Dense(logits) = self.subject.model.logits(self.subject.x.clone()) else { unreachable!() };
        logits
    }

    fn tick(&self) -> Vec<f32> {
        let image = self.direction.adversarial(&self.subject.x, 4.0 / 255.0);
        let Logits::Dense(logits) = self.subject.model.logits(image) else { unreachable!() };
        to_host(sigmoid(logits)).unwrap()
    }

    fn curve(&self) -> usize {
        let plan = SweepPlan::exactly(LEVELS.map(|l| l / 255.0).to_vec());
        let mut sweep = Sweep::new(self.subject.clone(), "fgsm", FGSM, None, &plan).unwrap();
        while sweep.step().unwrap().is_some() {}
        sweep.curve().points.len()
    }
}

fn main() {
    let mut criterion = Criterion::default().sample_size(10).configure_from_args();
    criterion.bench_function("prepare", |b| {
        b.iter_batched(
            || (),
            |()| {
                for size in [256, 512] {
                    case(size);
                }
                model()
            },
            BatchSize::PerIteration,
        );
    });
    for size in [256, 512] {
        let work = OnceCell::new();
        let work = || work.get_or_init(|| Work::new(size));
        criterion.bench_function(&format!("gradient/{size}"), |b| {
            let work = work();
            b.iter(|| work.gradient());
        });
        criterion.bench_function(&format!("forward/{size}"), |b| {
            let work = work();
            b.iter(|| work.forward());
        });
        criterion.bench_function(&format!("tick/{size}"), |b| {
            let work = work();
            b.iter(|| work.tick());
        });
        criterion.bench_function(&format!("curve/{size}"), |b| {
            let work = work();
            b.iter(|| work.curve());
        });
    }
    criterion.final_summary();
}
