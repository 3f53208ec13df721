//! The lines of the catalogue.

use super::{Entry, EpsilonMeaning};
use crate::attack::method::{Apgd, CarliniWagner, Corruption, DeepFool, Descent, Noise, StAdv};
use crate::attack::parameter::Parameter;
use crate::attack::preset::{ADV_U_NET, AGNIHOTRI, CHENG, INVERSE_FGSM, NO_SIGN, NO_SIGN_STEPS, Preset};
use crate::attack::shared::{CLIP, NORM, RESTARTS, SHARE, random_start, step, steps};

/// What most entries are.
const ENTRY: Entry = Entry {
    name: "",
    title: "",
    description: "",
    source: "",
    parameters: &[],
    presets: &[],
    epsilon: EpsilonMeaning::Radius,
    masks: true,
    classes: true,
    targeted: true,
    lowers_the_loss: false,
    gradient: true,
    method: Descent::fgsm,
};

/// What corruptions have in common.
const CORRUPTION: Entry = Entry {
    source: "after Hendrycks and Dietterich 2019, with a strength from 0 to 1 in place of five steps",
    epsilon: EpsilonMeaning::Strength,
    targeted: false,
    gradient: false,
    ..ENTRY
};

/// The name of the control.
pub const RANDOM_SIGN: &str = "random-sign";

/// Every attack, in the order of the menu. The control, random sign, is last of the first group.
pub const CATALOG: &[Entry] = &[
    Entry {
        name: "fgsm",
        title: "FGSM",
        description: "Fast gradient sign method: one step of ε in the direction that raises the loss, x + ε·sign(∇J).",
        source: "Goodfellow et al. 2015; Kwon and Jeong, AdvU-Net 2022, equation 2",
        presets: &[ADV_U_NET, NO_SIGN],
        method: Descent::fgsm,
        ..ENTRY
    },
    Entry {
        name: "inverse-fgsm",
        title: "Inverse FGSM",
        description: "One step of ε in the direction that lowers the loss, x − ε·sign(∇J): made for augmentation on \
                      training images, since it uses the true label.",
        source: "Inverse FGSM (adversarial augmentation), equation 3",
        targeted: false,
        lowers_the_loss: true,
        presets: &[INVERSE_FGSM],
        method: Descent::inverse_fgsm,
        ..ENTRY
    },
    Entry {
        name: RANDOM_SIGN,
        title: "Random sign",
        description: "The control of every curve: x + ε·random signs, clipped to the bounds. It has the ε of FGSM and \
                      knows nothing of the model.",
        source: "control",
        parameters: &[Parameter::seed()],
        gradient: false,
        method: Noise::signs,
        ..ENTRY
    },
    Entry {
        name: "r-fgsm",
        title: "R-FGSM",
        description: "A random step of α, x′ = clip(x + α·sign(N(0, 1))), then FGSM with what is left, \
                      x′ + (ε − α)·sign(∇J(x′)).",
        source: "Tramèr et al. 2018, section 3.4; cru-net, equation 3 (which drops the sign)",
        parameters: &[
            Parameter::number("alpha", "× ε", (0.0, 1.0), 0.5, "Length of the random step"),
            RESTARTS,
            Parameter::seed(),
        ],
        method: Descent::r_fgsm,
        ..ENTRY
    },
    Entry {
        name: "bim",
        title: "BIM",
        description: "Basic iterative method: FGSM in steps of ε/steps from the original, each clipped to the ε-ball.",
        source: "Kurakin et al. 2017, section 2.2",
        parameters: &[steps(10.0), step(0.0)],
        presets: &[NO_SIGN_STEPS],
        method: Descent::bim,
        ..ENTRY
    },
    Entry {
        name: "pgd",
        title: "PGD",
        description: "Projected gradient descent: steps along sign(∇J) (L∞) or ∇J/‖∇J‖₂ (L2) from a random start in the \
                      ball, projected back into it after each.",
        source: "Madry et al. 2018, section 2.1",
        parameters: &[steps(40.0), step(0.1), NORM, random_start(1), RESTARTS, Parameter::seed()],
        presets: &[
            Preset::new(
                "Madry et al. 2018, MNIST",
                "config.json of the authors’ mnist_challenge: k 40, a 0.01, ε 0.3",
                &[("step", 1.0 / 30.0)],
                &[0.3],
            ),
            Preset::new(
                "Madry et al. 2018, CIFAR-10",
                "config.json of the authors’ cifar10_challenge: 10 steps of 2, ε 8 of 255",
                &[("steps", 10.0), ("step", 0.25)],
                &[8.0 / 255.0],
            ),
            NO_SIGN_STEPS,
        ],
        method: Descent::pgd,
        ..ENTRY
    },
    Entry {
        name: "fgnm",
        title: "FGNM",
        description: "FGSM with ζ·∇J in place of its sign, ζ = ‖sign(∇J)‖₂/‖∇J‖₂ per image: as long as the sign, in the \
                      direction of the gradient. Without a box it is another threat model: single pixels move by more than ε.",
        source: "Cheng et al. 2021, equation 8; no-sign study, equation 6",
        parameters: &[CLIP],
        presets: &[NO_SIGN, CHENG],
        method: Descent::fgnm,
        ..ENTRY
    },
    Entry {
        name: "binm",
        title: "BINM",
        description: "BIM with ζ·∇J in place of its sign.",
        source: "Cheng et al. 2021; no-sign study",
        parameters: &[steps(10.0), step(0.0), CLIP],
        presets: &[NO_SIGN_STEPS, CHENG],
        method: Descent::binm,
        ..ENTRY
    },
    Entry {
        name: "pgdnm",
        title: "PGDNM",
        description: "PGD with ζ·∇J in place of its sign.",
        source: "Cheng et al. 2021; no-sign study",
        parameters: &[steps(40.0), step(0.1), CLIP, random_start(1), RESTARTS, Parameter::seed()],
        presets: &[NO_SIGN_STEPS, CHENG],
        method: Descent::pgdnm,
        ..ENTRY
    },
    Entry {
        name: "mi-fgsm",
        title: "MI-FGSM",
        description: "BIM with momentum: gradients are divided by their mean magnitude and accumulated, g ← μ·g + ∇J/mean|∇J|.",
        source: "Dong et al. 2018, algorithm 1",
        parameters: &[
            steps(10.0),
            step(0.0),
            Parameter::number("momentum", "", (0.0, 2.0), 1.0, "The decay factor μ of the accumulated gradient"),
        ],
        presets: &[Preset::new(
            "Dong et al. 2018",
            "the authors’ attack_iter.py: max_epsilon 16, num_iter 10, momentum 1",
            &[],
            &[16.0 / 255.0],
        )],
        method: Descent::mi_fgsm,
        ..ENTRY
    },
    Entry {
        name: "segpgd",
        title: "SegPGD",
        description: "PGD for masks: cross-entropy counts 1 − λ on pixels that are still correct and λ on those already \
                      wrong, λ rising from 0 to ½ over the steps.",
        source: "Gu et al. 2022, equation 4",
        parameters: &[steps(40.0), step(0.1), random_start(1), RESTARTS, Parameter::seed()],
        classes: false,
        presets: &[AGNIHOTRI],
        method: Descent::seg_pgd,
        ..ENTRY
    },
    Entry {
        name: "cospgd",
        title: "CosPGD",
        description: "PGD for masks: each pixel’s cross-entropy is weighted by the cosine between its probabilities and its \
                      label, so that the steps go where pixels can still be turned. The plain cross-entropy is not what it raises.",
        source: "Agnihotri et al. 2024, equations 4 and 5",
        parameters: &[steps(40.0), step(0.1), random_start(1), RESTARTS, Parameter::seed()],
        classes: false,
        presets: &[AGNIHOTRI],
        method: Descent::cos_pgd,
        ..ENTRY
    },
    Entry {
        name: "apgd-ce",
        title: "APGD-CE",
        description: "Auto-PGD on the cross-entropy: steps with momentum from the sphere, halved and restarted at the best \
                      place so far wherever the loss stops rising. No step size to choose.",
        source: "Croce and Hein 2020, algorithm 1",
        parameters: &[
            steps(100.0),
            NORM,
            Parameter::number("rho", "", (0.0, 1.0), 0.75, "Share of rising steps that a checkpoint asks for"),
            RESTARTS,
            Parameter::seed(),
        ],
        presets: &[Preset::new(
            "AutoAttack, version plus",
            "the authors’ autoattack.py: version plus, 5 restarts of APGD-CE",
            &[("restarts", 5.0)],
            &[8.0 / 255.0],
        )],
        method: Apgd::ce,
        ..ENTRY
    },
    Entry {
        name: "deepfool",
        title: "DeepFool",
        description: "Steps to the nearest boundary as if the model were linear, r = |f_k − f_0|/‖w‖²·w, until it is \
                      crossed: a small L2 perturbation. For masks DeepFool-style, r = −F·∇F/‖∇F‖² over the pixels that are cheapest \
                      to flip, with F = √Σ margin² in place of Σ margin: of independent pixels its step is the smallest.",
        source: "Moosavi-Dezfooli et al. 2016, algorithm 2",
        parameters: &[
            steps(50.0),
            Parameter::number("overshoot", "", (0.0, 1.0), 0.02, "How far beyond the boundary, as a share of the way"),
            SHARE,
        ],
        epsilon: EpsilonMeaning::Found,
        method: DeepFool::l2,
        ..ENTRY
    },
    Entry {
        name: "carlini-wagner",
        title: "Carlini–Wagner L2",
        description: "The smallest L2 perturbation by optimisation: ‖δ‖² + c·max(margin + κ, 0) in tanh space, with a binary \
                      search over c. Takes searches × steps gradients. For masks the mean hinge over the share of pixels that is cheapest to flip.",
        source: "Carlini and Wagner 2017, section VI.A (for masks ours, with a rate that falls)",
        parameters: &[
            steps(1000.0),
            Parameter::count("searches", (1.0, 50.0), 9.0, "Steps of the binary search over c, each with all steps"),
            Parameter::number("rate", "", (1e-6, 10.0), 0.01, "Learning rate of Adam"),
            Parameter::number("c", "", (1e-9, 1e9), 1e-3, "The first c"),
            Parameter::number("kappa", "logits", (0.0, 1000.0), 0.0, "The margin κ by which the result must be wrong"),
            SHARE,
            Parameter::number(
                "fall",
                "× rate",
                (1e-4, 1.0),
                0.01,
                "For masks: what is left of the rate at the end of each run, in the second half of which it falls; 1 stands for \
                 the authors’ constant rate",
            ),
            Parameter::number(
                "fall-classes",
                "× rate",
                (1e-4, 1.0),
                1.0,
                "For classes: the same; 1 is the authors’ constant rate, with which norms can end a tenth above the smallest; 0.01 comes nearer, with 1000 steps or more",
            ),
        ],
        epsilon: EpsilonMeaning::Found,
        presets: &[
            Preset::new(
                "Carlini and Wagner 2017, code",
                "the authors’ l2_attack.py: MAX_ITERATIONS 10000, else as the defaults",
                &[("steps", 10_000.0), ("fall", 1.0)],
                &[],
            ),
            Preset::new(
                "torchattacks",
                "the defaults of its CW: c 1, 50 steps, no search",
                &[("steps", 50.0), ("searches", 1.0), ("c", 1.0), ("fall", 1.0)],
                &[],
            ),
        ],
        method: CarliniWagner::l2,
        ..ENTRY
    },
    Entry {
        name: "stadv",
        title: "stAdv",
        description: "Moves pixels in place of changing them: a smooth flow, sampled bilinearly, that the model fails on. For \
                      masks the hinges of all pixels are summed, and a flow succeeds only if the mask moved along with it is failed on too. Its \
                      size is the largest displacement in pixels.",
        source: "Xiao et al. 2018, equations 2 to 4 (by Adam in place of L-BFGS)",
        parameters: &[
            steps(200.0),
            Parameter::number("rate", "px", (1e-6, 10.0), 0.02, "Learning rate of Adam"),
            Parameter::number("tau", "", (0.0, 1000.0), 0.05, "How much the smoothness of the flow counts"),
            SHARE,
        ],
        epsilon: EpsilonMeaning::Found,
        method: StAdv::flow,
        ..ENTRY
    },
    Entry {
        name: "gaussian-noise",
        title: "Gaussian noise",
        description: "A corruption, not an attack: x + ε·N(0, 1), clipped to the bounds; ε is its standard deviation.",
        parameters: &[Parameter::seed()],
        method: Noise::gaussian,
        ..CORRUPTION
    },
    Entry {
        name: "salt-and-pepper",
        title: "Salt and pepper",
        description: "A corruption, not an attack: the share ε of all values becomes black or white.",
        parameters: &[Parameter::seed()],
        method: Corruption::salt_and_pepper,
        ..CORRUPTION
    },
    Entry {
        name: "blur",
        title: "Blur",
        description: "A corruption, not an attack: a Gaussian blur whose deviation is ε times its largest.",
        parameters: &[Parameter::number("largest", "px", (0.1, 100.0), 6.0, "The deviation at ε = 1")],
        method: Corruption::blur,
        ..CORRUPTION
    },
    Entry {
        name: "jpeg",
        title: "JPEG",
        description: "A corruption, not an attack: JPEG of quality 100·(1 − ε), at 8 bits, for images of 1 or 3 channels.",
        method: Corruption::jpeg,
        ..CORRUPTION
    },
    Entry {
        name: "contrast",
        title: "Low contrast",
        description: "A corruption, not an attack: every channel shrinks towards its mean, mean + (1 − ε)·(x − mean).",
        method: Corruption::contrast,
        ..CORRUPTION
    },
];
