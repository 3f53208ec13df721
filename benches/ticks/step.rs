//! Where the time of a training step goes: `cargo bench --bench ticks -- --step [BASE [SIZE [BATCH]]]`.
//!
//! Forward, loss and backward pass are timed alone, on the network that is trained. What a step takes beyond them is the way of
//! the batch to the device, reading the loss, the gradients by their names, and the optimiser. Batches are made on a thread
//! of their own while the network learns: only if one takes longer than a step, the step waits for it.

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use epsiloscope::model::unet::UNetConfig;
use epsiloscope::train::{Batch, Recipe, Source, Trainer, TrainingData};
use std::hint::black_box;

/// Prints a table.
pub fn print(base: usize, size: usize, batch: usize) {
    let device = Device::flex();
    let recipe = Recipe { batch, crop: size, ..Recipe::new(UNetConfig::new(base, 4), 1_000_000) };
    let source = Source::Cases(vec![super::case(size)].into());
    let made = super::layers::least(|| _ = black_box(Batch::assemble(&recipe, &source, 0)));
    let Batch { count, channels, input, output, images, targets, weights } = Batch::assemble(&recipe, &source, 0);
    let tensor = |values: Vec<f32>, shape| Tensor::<4>::from_data(TensorData::new(values, shape), &device).autodiff();
    let x = tensor(images, [count, channels, input, input]);
    let (target, weight) = (tensor(targets, [count, 1, output, output]), tensor(weights, [count, 1, output, output]));
    let loss = recipe.loss;
    let data = TrainingData { train: source, validate: Vec::new().into() };
    let mut trainer = Trainer::new(recipe, data, &device).unwrap();
    let step = super::layers::least(|| _ = black_box(trainer.step().unwrap().loss));
    // A copy: its running statistics do not count.
    let network = trainer.current().valid().train();
    // Nothing is kept for a gradient here, as in no step: the graph is part of the backward pass.
    let still = network.clone().no_grad();
    let forward = super::layers::least(|| _ = black_box(still.forward(x.clone()).into_data()));
    let logits = network.forward(x.clone()).detach();
    let of_loss = super::layers::least(|| {
        let tracked = logits.clone().require_grad();
        let value = loss.value(tracked.clone(), target.clone(), weight.clone());
        _ = black_box(tracked.grad(&value.backward()).expect("a gradient").into_data());
    });
    let all = super::layers::least(|| {
        _ = black_box(loss.value(network.forward(x.clone()), target.clone(), weight.clone()).backward());
    });
    println!(
        "U-Net of base {base}, {batch} crops of {size}², {}, {}\n",
        loss.describe(),
        trainer.recipe().optimizer.describe()
    );
    println!("| part | ms | of the step |\n|---|---|---|");
    for (part, secs) in [
        ("forward", forward),
        ("loss and its gradient", of_loss),
        ("backward", (all - forward - of_loss).max(0.0)),
        ("the rest: batch to device, optimiser", (step - all).max(0.0)),
        ("a step", step),
        ("the next batch, beside it", made),
    ] {
        println!("| {part} | {:.1} | {:.0} % |", secs * 1e3, 100.0 * secs / step);
    }
}
