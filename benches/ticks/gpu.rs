//! A tick on a GPU that draws the window too: `cargo bench --bench ticks -- --device gpu [BASE [SIZE]]`.
//!
//! Prints a line of JSON: the device and the median seconds of each item, of which `benches/peers/compare.py --device gpu` makes
//! ratios beside PyTorch on the same card. `texture` is what a person waits for: perturb, forward and the three pictures that change,
//! drawn, with nothing read back; `display` is the share of drawing alone, of planes that are there. Base 64 has random weights.

use super::{Screen, case, folder, weights_of, write_for_the_other_side, write_weights};
use burn::tensor::Tensor;
use eframe::egui_wgpu::wgpu;
use epsiloscope::attack::{Attack, Direction, input_gradient};
use epsiloscope::engine::Plane;
use epsiloscope::gpu::{Compute, DeviceChoice, Planes, Slot};
use epsiloscope::model::{BuiltIn, Logits, Model, on_device};
use epsiloscope::study::{Adversary, Subject};
use epsiloscope::view::{Content, MaskKind, Transform, ViewSpec, Window};
use std::sync::Arc;
use std::time::Instant;

/// Runs before the clock counts: kernels are tuned and compiled.
const WARM: usize = 3;
const RUNS: usize = 21;

struct Work {
    compute: Compute,
    subject: Arc<Subject>,
    direction: Direction,
}

/// Noise, adversarial image and probability.
type Shown = [Plane; 3];

impl Work {
    fn logits(&self, x: Tensor<4>) -> Tensor<4> {
        let Ok(Logits::Dense(logits)) = self.subject.model.logits(x) else { panic!("a U-Net segments") };
        logits
    }

    fn adversarial(&self) -> Tensor<4> {
        self.direction.adversarial(&self.subject.x, 4.0 / 255.0)
    }

    /// Perturbs, looks, and hands the pictures to the display.
    fn pictures(&self) -> Shown {
        let image = self.adversarial();
        let (probability, _) = on_device(self.subject.model.card(), self.logits(image.clone()));
        [image.clone() - self.subject.x.clone(), image, probability].map(|t| (self.compute.publish)(t).unwrap())
    }
}

/// Draws what changes in a tick, and waits until it is drawn.
fn draw(screen: &mut Screen, [noise, adversarial, probability]: Shown) {
    let (size, window) = ([adversarial.height, adversarial.width], Window::FULL);
    let overlay = Content::Overlay { window, fill: 0.4, contour: true };
    let mask = Some((probability, MaskKind::Probability));
    let pictures = [
        (Content::Image { window }, Planes { image: Some(adversarial.clone()), ..Planes::default() }),
        (Content::Noise { gain: 32.0 }, Planes { image: Some(noise), ..Planes::default() }),
        (overlay, Planes { image: Some(adversarial), mask, second: None }),
    ];
    for (slot, (content, planes)) in (0..).zip(pictures) {
        screen.display.show(Slot(slot), &ViewSpec::new(content, Transform::IDENTITY), &planes, size).unwrap();
    }
    wait(screen);
}

/// Waits until the device has done all that it was given.
fn wait(screen: &Screen) {
    screen.state.device.poll(wgpu::PollType::wait_indefinitely()).unwrap();
}

/// Reads one number: all that it depends on is computed then.
fn computed(values: Tensor<4>) {
    values.max().try_into_vec_as::<f32>().unwrap();
}

/// The median seconds of `run`, of what `prepare` makes before the clock runs.
fn median<T>(mut prepare: impl FnMut() -> T, mut run: impl FnMut(T)) -> f64 {
    let mut times: Vec<f64> = (0..WARM + RUNS)
        .map(|_| {
            let prepared = prepare();
            let start = Instant::now();
            run(prepared);
            start.elapsed().as_secs_f64()
        })
        .skip(WARM)
        .collect();
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// Prints the line; says why where there is no device.
pub fn print(base: usize, size: usize) {
    let Some(mut screen) = Screen::new() else { return };
    let compute = Compute::for_window(&screen.state, DeviceChoice::Gpu).unwrap();
    std::fs::create_dir_all(folder()).unwrap();
    let case = case(size);
    write_for_the_other_side(&case);
    if base != 16 {
        write_weights(base);
    }
    let (description, device) = (compute.info.description.clone(), compute.device.clone());
    let model = if base == 16 { BuiltIn::bundled(&device) } else { BuiltIn::load(&weights_of(base), &device) };
    let model: Arc<dyn Model> = Arc::new(model.unwrap());
    let first = Instant::now();
    let subject = Arc::new(Subject::new(Arc::new(case), model).unwrap());
    let direction = Adversary::new(subject.clone(), Attack::FGSM).unwrap().direction().unwrap().clone();
    let work = Work { compute, subject, direction };
    draw(&mut screen, work.pictures());
    // With all that is tuned and compiled once in a process.
    let first = first.elapsed().as_secs_f64();

    let objective = work.subject.objective();
    let gradient = || computed(input_gradient(work.subject.model.as_ref(), &work.subject.x, &objective).unwrap().1);
    let gradient = median(|| (), |()| gradient());
    let forward = median(|| (), |()| computed(work.logits(work.subject.x.clone())));
    let tick = median(|| (), |()| _ = work.subject.judge(&work.adversarial()).unwrap());
    let texture = median(|| (), |()| draw(&mut screen, work.pictures()));
    let state = screen.state.clone();
    let display = median(
        || {
            let pictures = work.pictures();
            state.device.poll(wgpu::PollType::wait_indefinitely()).unwrap();
            pictures
        },
        |pictures| draw(&mut screen, pictures),
    );
    let found = serde_json::json!({
        "device": description, "first": first, "gradient": gradient, "forward": forward, "tick": tick,
        "texture": texture, "display": display,
    });
    println!("{found}");
}
