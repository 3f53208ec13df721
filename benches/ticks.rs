//! The work behind a moved slider, on the CPU: gradient, forward, ε tick (perturb, forward, judge, as the engine does
//! it), tick to texture, curve; PGD of 40 steps on 100 images at once and on one at 256²; and a training step of four images.
//!
//! The bundled model (a U-Net of base 16 and depth 4) and one of base 32 with random weights, at 256² and 512². The images are left in `$EPSILOSCOPE_PEERS` (or
//! `target/peers`) for `benches/peers/run.py`, which does the same work with the same weights in PyTorch;
//! `benches/peers/compare.py` runs both and prints their ratios. `tick to texture` goes through the default adapter.
//! `--layers [BASE [SIZE]]` prints how far each layer is from the machine's limits, `--helps [BASE [SIZE]]` what each help to
//! the layers gains, `--step [BASE [SIZE [BATCH]]]` where the time of a training step goes, `--device gpu [BASE [SIZE]]` times
//! a tick on the GPU that draws, `--peak ITEM` prints the MB that a gradient takes at most above what there was before.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

#[path = "peers/cnn.rs"]
mod cnn;
#[path = "ticks/gpu.rs"]
mod gpu;
#[path = "ticks/helps.rs"]
mod helps;
#[path = "ticks/layers.rs"]
mod layers;
#[path = "ticks/step.rs"]
mod step;

use burn::tensor::{Device, Tensor, TensorData};
use criterion::{BatchSize, Criterion};
use eframe::egui_wgpu::{self, RenderState, RendererOptions, wgpu};
use epsiloscope::attack::{Attack, Direction, Objective, Options, input_gradient};
use epsiloscope::data::{Bounds, Case, Image, Mask, Provenance, StoredType};
use epsiloscope::engine::host_plane;
use epsiloscope::gpu::{Display, Planes, Slot, wgpu_setup};
use epsiloscope::model::unet::UNetConfig;
use epsiloscope::model::{BuiltIn, ClassInfo, Head, Logits, ModelCard};
use epsiloscope::study::{Adversary, Judged, Subject, Sweep, SweepPlan};
use epsiloscope::train::{Augmentation, Loss, Recipe, Schedule, Source, Trainer, TrainingData};
use epsiloscope::view::{Content, MaskKind, Transform, ViewSpec, Window};
use std::cell::OnceCell;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const FGSM: Attack = Attack::FGSM;
/// Of the curve, in grey levels of 8 bits.
const LEVELS: [f64; 10] = [0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0];

/// Where weights and images are left for the other side.
fn folder() -> PathBuf {
    std::env::var_os("EPSILOSCOPE_PEERS")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target/peers"), PathBuf::from)
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
    Case {
        name: format!("{size}²"),
        image: Image::new(1, size, size, pixels).unwrap(),
        bounds: Bounds::EIGHT_BIT,
        shown: Bounds::EIGHT_BIT,
        stored: StoredType::U8,
        label: Some(Mask { height: size, width: size, classes: classes.into() }),
        class: None,
        about: Arc::default(),
        provenance: Provenance::default(),
    }
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

/// The U-Net of another base than the bundled one, whose weights are the same on both sides since they come from one file.
fn weights_of(base: usize) -> PathBuf {
    folder().join(format!("base-{base}.safetensors"))
}

fn write_weights(base: usize) {
    let device = Device::flex();
    device.seed(7);
    let config = UNetConfig::new(base, 4);
    let network = config.init(&device);
    let card = ModelCard {
        name: format!("base-{base}"),
        size_rule: config.size_rule(),
        classes: ["cell", "membrane"].map(ClassInfo::new).into(),
        network: Some(config),
        ..ModelCard::default()
    };
    BuiltIn::save(&weights_of(base), &card, &network).unwrap();
}

impl Work {
    /// The base is 16 or 32.
    fn new(base: usize, size: usize) -> Self {
        let device = Device::flex();
        let model = if base == 16 { BuiltIn::bundled(&device) } else { BuiltIn::load(&weights_of(base), &device) };
        let subject = Arc::new(Subject::new(Arc::new(case(size)), Arc::new(model.unwrap())).unwrap());
        let direction = Adversary::new(subject.clone(), FGSM).unwrap().direction().unwrap().clone();
        Self { subject, direction }
    }

    fn gradient(&self) -> Tensor<4> {
        input_gradient(self.subject.model.as_ref(), &self.subject.x, &self.subject.objective()).unwrap().1
    }

    fn forward(&self) -> Tensor<4> {
        let Ok(Logits::Dense(logits)) = self.subject.model.logits(self.subject.x.clone()) else { unreachable!() };
        logits
    }

    fn tick(&self) -> Judged {
        self.subject.judge(&self.direction.adversarial(&self.subject.x, 4.0 / 255.0)).unwrap()
    }

    /// A tick, and the pictures that it changes on the screen, drawn when this returns.
    fn texture(&self, screen: &mut Screen) {
        let image = self.direction.adversarial(&self.subject.x, 4.0 / 255.0);
        let judged = self.subject.judge(&image).unwrap();
        let noise = host_plane(image.clone() - self.subject.x.clone()).unwrap();
        let adversarial = host_plane(image).unwrap();
        let mask = (host_plane(judged.probability).unwrap(), MaskKind::Probability);
        let [height, width] = self.subject.case.size();
        let window = Window::FULL;
        let pictures = [
            (Content::Image { window }, Planes { image: Some(adversarial.clone()), ..Planes::default() }),
            (Content::Noise { gain: 32.0 }, Planes { image: Some(noise), ..Planes::default() }),
            (
                Content::Overlay { window, fill: 0.4, contour: true },
                Planes { image: Some(adversarial), mask: Some(mask), second: None },
            ),
        ];
        for (slot, (content, planes)) in (0..).zip(pictures) {
            let spec = ViewSpec::new(content, Transform::IDENTITY);
            screen.display.show(Slot(slot), &spec, &planes, [width, height]).unwrap();
        }
        screen.state.device.poll(wgpu::PollType::wait_indefinitely()).unwrap();
    }

    /// PGD of 40 steps of ε/10 at ε = 8/255.
    fn pgd(&self) -> f32 {
        let attack = Attack::parse("pgd", &["steps=40", "step=0.1"]).unwrap();
        let Subject { model, x, .. } = &*self.subject;
        let (objective, options) = (self.subject.objective(), Options::default());
        let found = attack.run_through(model.as_ref(), x, &objective, &[8.0 / 255.0], &options).unwrap();
        found.judged[0].loss
    }

    fn curve(&self) -> usize {
        let plan = SweepPlan::exactly(LEVELS.map(|l| l / 255.0).to_vec());
        let mut sweep = Sweep::new(Arc::new(Adversary::new(self.subject.clone(), FGSM).unwrap()), &plan).unwrap();
        while sweep.step().unwrap().is_some() {}
        sweep.curve().points.len()
    }
}

/// A display without a window.
struct Screen {
    state: RenderState,
    display: Display,
}

impl Screen {
    /// `None`, with the reason printed, where there is no adapter.
    fn new() -> Option<Self> {
        let setup = wgpu_setup();
        let instance = wait(setup.new_instance());
        let configuration = egui_wgpu::WgpuConfiguration { wgpu_setup: setup, ..Default::default() };
        let state = wait(RenderState::create(&configuration, &instance, None, RendererOptions::default()))
            .map_err(|error| eprintln!("no tick to texture: {error}"))
            .ok()?;
        let display = Display::new(&state).map_err(|error| eprintln!("no tick to texture: {error}")).ok()?;
        Some(Self { state, display })
    }
}

/// Waits for a future of wgpu's.
fn wait<F: Future>(future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    loop {
        if let std::task::Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return value;
        }
    }
}

/// `gradient/SIZE` or `gradient-32/SIZE`: base and size.
fn base_and_size(item: &str) -> (usize, usize) {
    let (item, size) = item.split_once('/').unwrap();
    (if item.ends_with("-32") { 32 } else { 16 }, size.parse().unwrap())
}

/// What this process holds now (`VmRSS:`) or held at most (`VmHWM:`), in MB; 0 where the system does not tell.
fn megabytes(line: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix(line)).unwrap_or("0");
    line.trim().trim_end_matches("kB").trim().parse::<f64>().unwrap_or(0.0) * 1024.0 / 1e6
}

/// The MB that three gradients take at most above the loaded model and image.
fn print_peak(item: &str) {
    let (base, size) = base_and_size(item);
    let device = Device::flex();
    let model = if base == 16 { BuiltIn::bundled(&device) } else { BuiltIn::load(&weights_of(base), &device) }.unwrap();
    let case = case(size);
    let x: Vec<f32> = case.image.pixels.iter().map(|v| v / 255.0).collect();
    let x = Tensor::from_data(TensorData::new(x, [1, 1, size, size]), &device);
    let objective = Objective::segmentation(Head::Sigmoid, 1, case.label.as_ref().unwrap(), &device);
    let before = megabytes("VmRSS:");
    // From here on, the highest that memory rises.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
    for _ in 0..3 {
        input_gradient(&model, &x, &objective).unwrap();
    }
    println!("{}", megabytes("VmHWM:") - before);
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let number =
        |rest: &[String], at: usize, default: usize| rest.get(at).and_then(|a| a.parse().ok()).unwrap_or(default);
    let after = |flag: &str| Some(&arguments[1 + arguments.iter().position(|a| a == flag)?..]);
    if let Some(rest) = after("--layers") {
        return layers::print(number(rest, 0, 16), number(rest, 1, 256));
    }
    if let Some(rest) = after("--helps") {
        return helps::print(number(rest, 0, 16), number(rest, 1, 256));
    }
    if let Some([device, rest @ ..]) = after("--device") {
        assert_eq!(device, "gpu", "what follows --device; without it the CPU computes");
        return gpu::print(number(rest, 0, 64), number(rest, 1, 512));
    }
    if let Some(rest) = after("--step") {
        return step::print(number(rest, 0, 16), number(rest, 1, 256), number(rest, 2, 4));
    }
    if let Some([item, ..]) = after("--peak") {
        return print_peak(item);
    }
    let mut criterion = Criterion::default().sample_size(10).configure_from_args();
    criterion.bench_function("prepare", |b| {
        b.iter_batched(
            || (),
            |()| {
                std::fs::create_dir_all(folder()).unwrap();
                cnn::write_for_the_other_side(&folder());
                write_weights(32);
                for size in [256, 512] {
                    write_for_the_other_side(&case(size));
                }
            },
            BatchSize::PerIteration,
        );
    });
    let mut screen = Screen::new();
    for size in [256, 512] {
        let work = OnceCell::new();
        let work = || work.get_or_init(|| Work::new(16, size));
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
        // Without an adapter there is nothing to time.
        if let Some(screen) = &mut screen {
            criterion.bench_function(&format!("texture/{size}"), |b| {
                let work = work();
                b.iter(|| work.texture(screen));
            });
        }
        criterion.bench_function(&format!("curve/{size}"), |b| {
            let work = work();
            b.iter(|| work.curve());
        });
        let wide = OnceCell::new();
        let wide = || wide.get_or_init(|| Work::new(32, size));
        criterion.bench_function(&format!("gradient-32/{size}"), |b| {
            let work = wide();
            b.iter(|| work.gradient());
        });
        criterion.bench_function(&format!("tick-32/{size}"), |b| {
            let work = wide();
            b.iter(|| work.tick());
        });
    }
    criterion.bench_function("pgd-unet/256", |b| {
        let work = Work::new(16, 256);
        b.iter(|| work.pgd());
    });
    criterion.bench_function("pgd/100", |b| {
        let (model, (x, y)) = (cnn::Cnn::new(&Device::flex()), cnn::images());
        let x = Tensor::from_data(TensorData::new(x, [100, 1, 28, 28]), &Device::flex());
        let objective = Objective::classes(Head::Softmax, 1, &y, &Device::flex());
        let attack = Attack::parse("pgd", &["steps=40", "step=0.1"]).unwrap();
        b.iter(|| attack.run_through(&model, &x, &objective, &[0.1; 100], &Options::default()).unwrap());
    });
    criterion.bench_function("train/256", |b| {
        let recipe = Recipe {
            batch: 4,
            crop: 256,
            loss: Loss::Bce,
            schedule: Schedule::Constant,
            augmentation: Augmentation::NONE,
            ..Recipe::new(UNetConfig::new(16, 4), 1_000_000)
        };
        let data = TrainingData { train: Source::Cases(vec![case(256)].into()), validate: Vec::new().into() };
        let mut trainer = Trainer::new(recipe, data, &Device::flex()).unwrap();
        b.iter(|| trainer.step().unwrap().loss);
    });
    criterion.final_summary();
}
