//! From what the file says to a [`Program`]: names resolved, functions inlined, nodes ordered, all that cannot work
//! reported at once.

use super::attribute::{Attribute, Attributes};
use super::host::{ElementType, HostTensor};
use super::messages::{AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, attribute_type};
use super::op;
use super::order::sorted;
use super::program::{Block, Constant, Dim, Fused, Node, Port, Program, Slot};
use super::proto::Reader;
use super::tensor_file::{location, read_tensor};
use crate::model::Layout;
use std::collections::HashMap;
use std::path::Path;

/// The operator sets of ONNX that the operators are written for.
const OPSETS: std::ops::RangeInclusive<i64> = 1..=28;
/// How deep functions may call functions and branches may lie in branches.
pub(super) const DEEPEST: usize = 32;
/// The most nodes that inlining may make.
const MOST_NODES: usize = 1 << 20;

/// A node that no operator here computes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsupported {
    /// Its name.
    pub node: String,
    /// Its operator, with its domain if that is not ONNX's own.
    pub operator: String,
}

/// Builds the program of the model that `reader` reads, whose tensors in other files lie in `folder`.
///
/// # Errors
/// One line that says what is wrong, without the file's name.
pub fn build(reader: Reader<'_>, folder: Option<&Path>) -> Result<(Program, Vec<Unsupported>), String> {
    let mut reader = reader;
    let mut proto = reader.model().map_err(|cause| format!("is damaged or no ONNX model ({cause})"))?;
    if proto.graph.is_none() {
        return Err("is no ONNX model: it holds no graph".to_owned());
    }
    let opset = opset(&proto)?;
    let mut functions = HashMap::new();
    for f in std::mem::take(&mut proto.functions) {
        let own = f.opset_import.iter().find(|(domain, _)| is_own(domain)).map(|(_, version)| *version);
        let (inputs, outputs, defaults) = (f.input, f.output, f.attribute_proto);
        let function = Function { inputs, outputs, defaults, nodes: sorted(f.node)?, opset: own };
        functions.insert((f.domain, f.name), function);
    }
    let mut builder = Builder {
        program: Program { opset, ..Program::default() },
        functions,
        reader,
        folder,
        unsupported: Vec::new(),
        nodes: 0,
    };
    let mut graph = proto.graph.take().unwrap_or_default();
    let mut scope = Scope { slots: HashMap::new(), parent: None };
    builder.initializers(&mut graph, &mut scope)?;
    for input in &graph.input {
        if scope.slots.contains_key(&input.name) {
            // An initialiser that the file also lists as an input, as old versions demanded.
            continue;
        }
        let port = port(input)?;
        let slot = builder.define(&mut scope, &input.name)?;
        builder.program.inputs.push((slot, port));
    }
    let nodes = builder.nodes(std::mem::take(&mut graph.node), &mut scope, &Context { opset, depth: 0, refs: None })?;
    builder.program.nodes = nodes;
    for output in &graph.output {
        let slot =
            scope.find(&output.name).ok_or_else(|| format!("has no node that makes its output {:?}", output.name))?;
        builder.program.outputs.push((slot, port(output)?));
    }
    if builder.program.outputs.is_empty() {
        return Err("has no output".to_owned());
    }
    Ok((builder.program, builder.unsupported))
}

/// The version of ONNX's own operator set.
fn opset(proto: &ModelProto) -> Result<i64, String> {
    let version = match proto.opset_import.iter().find(|(domain, _)| is_own(domain)) {
        Some((_, version)) => *version,
        // Files older than operator sets are of the first; in newer ones the end is missing.
        None if proto.ir_version < 3 && proto.opset_import.is_empty() => 1,
        None => return Err("does not say which version of ONNX's operators it uses".to_owned()),
    };
    if !OPSETS.contains(&version) {
        return Err(format!(
            "is written in version {version} of ONNX's operators, and {} to {} are known",
            OPSETS.start(),
            OPSETS.end()
        ));
    }
    Ok(version)
}

/// Whether a domain is ONNX's own.
fn is_own(domain: &str) -> bool {
    matches!(domain, "" | "ai.onnx")
}

/// Names that are visible.
struct Scope<'a> {
    slots: HashMap<String, Slot>,
    parent: Option<&'a Scope<'a>>,
}

impl Scope<'_> {
    fn find(&self, name: &str) -> Option<Slot> {
        self.slots.get(name).copied().or_else(|| self.parent.and_then(|p| p.find(name)))
    }
}

/// Where in the file a node stands.
struct Context<'a> {
    opset: i64,
    depth: usize,
    /// Inside a function: the attributes of the call.
    refs: Option<&'a HashMap<String, AttributeProto>>,
}

/// A function of the file, to be written out where it is called.
#[derive(Clone)]
struct Function {
    inputs: Vec<String>,
    outputs: Vec<String>,
    defaults: Vec<AttributeProto>,
    nodes: Vec<NodeProto>,
    opset: Option<i64>,
}

struct Builder<'a> {
    program: Program,
    functions: HashMap<(String, String), Function>,
    reader: Reader<'a>,
    folder: Option<&'a Path>,
    unsupported: Vec<Unsupported>,
    nodes: usize,
}

impl Builder<'_> {
    /// A slot for a name that must be new here.
    fn define(&mut self, scope: &mut Scope<'_>, name: &str) -> Result<Slot, String> {
        let slot = self.program.slot(name);
        match scope.slots.insert(name.to_owned(), slot) {
            None => Ok(slot),
            Some(_) => Err(format!("makes the tensor {name:?} twice")),
        }
    }

    fn tensor(&mut self, proto: TensorProto) -> Result<HostTensor, String> {
        self.program.beside.extend(location(&proto).map(str::to_owned));
        read_tensor(proto, &mut self.reader, self.folder)
    }

    fn initializers(&mut self, graph: &mut GraphProto, scope: &mut Scope<'_>) -> Result<(), String> {
        if graph.has_sparse_initializer {
            return Err("stores weights as sparse tensors, which are not read".to_owned());
        }
        for proto in std::mem::take(&mut graph.initializer) {
            let slot = self.define(scope, &proto.name)?;
            let name = proto.name.clone();
            let tensor = self.tensor(proto)?;
            check_finite(&name, &tensor)?;
            self.program.constants[slot] = Some(Constant::Host(tensor));
        }
        Ok(())
    }

    fn nodes(&mut self, protos: Vec<NodeProto>, scope: &mut Scope<'_>, at: &Context<'_>) -> Result<Vec<Node>, String> {
        let mut nodes = Vec::with_capacity(protos.len());
        for proto in sorted(protos)? {
            self.node(proto, scope, at, &mut nodes)?;
        }
        Ok(nodes)
    }

    fn node(
        &mut self,
        proto: NodeProto,
        scope: &mut Scope<'_>,
        at: &Context<'_>,
        nodes: &mut Vec<Node>,
    ) -> Result<(), String> {
        self.nodes += 1;
        if self.nodes > MOST_NODES {
            return Err(format!("has more than {MOST_NODES} nodes"));
        }
        let name = match (&proto.name, proto.output.first()) {
            (name, _) if !name.is_empty() => name.clone(),
            (_, Some(output)) => format!("making {output}"),
            _ => "without a name".to_owned(),
        };
        let inputs = proto
            .input
            .iter()
            .map(|input| match input.as_str() {
                "" => Ok(None),
                input => scope
                    .find(input)
                    .map(Some)
                    .ok_or_else(|| format!("{} (node {name}) needs {input:?}, which nothing makes", proto.op_type)),
            })
            .collect::<Result<Vec<_>, _>>()?;
        if self.functions.contains_key(&(proto.domain.clone(), proto.op_type.clone())) {
            return self.call(&proto, &inputs, scope, at, nodes);
        }
        let own = is_own(&proto.domain);
        let operator = op::find(&proto.domain, &proto.op_type).unwrap_or_else(|| {
            let operator = if own { proto.op_type.clone() } else { format!("{}.{}", proto.domain, proto.op_type) };
            self.unsupported.push(Unsupported { node: name.clone(), operator });
            &op::UNSUPPORTED
        });
        let mut attributes = Attributes::default();
        let mut branches = Vec::new();
        for mut attribute in proto.attribute {
            if !attribute.ref_attr_name.is_empty() {
                // Absent in the call: the operator's default.
                let Some(given) = at.refs.and_then(|refs| refs.get(&attribute.ref_attr_name)) else { continue };
                attribute = AttributeProto { name: attribute.name, ..given.clone() };
            }
            if attribute.g.is_some() && std::ptr::eq(operator, &op::UNSUPPORTED) {
                continue;
            }
            if let Some(graph) = attribute.g.take() {
                let block = self.block(graph, scope, at)?;
                branches.push((attribute.name, block));
            } else {
                let (name, value) = self.attribute(attribute)?;
                attributes.insert(name, value);
            }
        }
        // then_branch before else_branch.
        branches.sort_by(|a, b| b.0.cmp(&a.0));
        let outputs = proto
            .output
            .iter()
            .map(|output| if output.is_empty() { Ok(None) } else { self.define(scope, output).map(Some) })
            .collect::<Result<Vec<_>, _>>()?;
        nodes.push(Node {
            name,
            operator,
            op_type: proto.op_type,
            attributes,
            inputs,
            outputs,
            opset: at.opset,
            branches: branches.into_iter().map(|(_, block)| block).collect(),
            fused: Fused::default(),
        });
        Ok(())
    }

    fn block(&mut self, mut graph: GraphProto, scope: &Scope<'_>, at: &Context<'_>) -> Result<Block, String> {
        if at.depth >= DEEPEST {
            return Err(format!("nests graphs deeper than {DEEPEST}"));
        }
        let mut inner = Scope { slots: HashMap::new(), parent: Some(scope) };
        self.initializers(&mut graph, &mut inner)?;
        let at = Context { opset: at.opset, depth: at.depth + 1, refs: at.refs };
        let nodes = self.nodes(std::mem::take(&mut graph.node), &mut inner, &at)?;
        let outputs = graph
            .output
            .iter()
            .map(|o| inner.find(&o.name).ok_or_else(|| format!("has no node that makes {:?} of a branch", o.name)))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Block { nodes, outputs })
    }

    /// Writes a function's nodes in place of its call.
    fn call(
        &mut self,
        call: &NodeProto,
        inputs: &[Option<Slot>],
        scope: &mut Scope<'_>,
        at: &Context<'_>,
        nodes: &mut Vec<Node>,
    ) -> Result<(), String> {
        if at.depth >= DEEPEST {
            return Err(format!("calls functions deeper than {DEEPEST}"));
        }
        let Some(function) = self.functions.get(&(call.domain.clone(), call.op_type.clone())).cloned() else {
            return Ok(());
        };
        let mut inner = Scope { slots: HashMap::new(), parent: None };
        for (name, slot) in function.inputs.iter().zip(inputs) {
            if let Some(slot) = slot {
                inner.slots.insert(name.clone(), *slot);
            }
        }
        let mut refs: HashMap<String, AttributeProto> =
            function.defaults.iter().map(|a| (a.name.clone(), a.clone())).collect();
        refs.extend(call.attribute.iter().map(|a| (a.name.clone(), a.clone())));
        let opset = function.opset.unwrap_or(at.opset);
        let at = Context { opset, depth: at.depth + 1, refs: Some(&refs) };
        for mut node in function.nodes {
            // An input that the call does not give is absent.
            for input in &mut node.input {
                if function.inputs.contains(input) && !inner.slots.contains_key(input) {
                    input.clear();
                }
            }
            self.node(node, &mut inner, &at, nodes)?;
        }
        for (formal, actual) in function.outputs.iter().zip(&call.output).filter(|(_, actual)| !actual.is_empty()) {
            let slot = inner.find(formal).ok_or_else(|| format!("has a function that does not make {formal:?}"))?;
            if scope.slots.insert(actual.clone(), slot).is_some() {
                return Err(format!("makes the tensor {actual:?} twice"));
            }
        }
        Ok(())
    }

    fn attribute(&mut self, a: AttributeProto) -> Result<(String, Attribute), String> {
        use attribute_type::{FLOAT, FLOATS, INT, INTS, STRING, TENSOR, UNDEFINED};
        let value = match a.kind {
            FLOAT => Attribute::Float(a.f),
            INT => Attribute::Int(a.i),
            STRING => Attribute::Text(a.s),
            FLOATS => Attribute::Floats(a.floats),
            INTS => Attribute::Ints(a.ints),
            TENSOR => match a.t {
                Some(tensor) => Attribute::Tensor(self.tensor(tensor)?),
                None => Attribute::Other,
            },
            // Files of the first version leave the type out.
            UNDEFINED if !a.ints.is_empty() => Attribute::Ints(a.ints),
            UNDEFINED if !a.floats.is_empty() => Attribute::Floats(a.floats),
            UNDEFINED if !a.s.is_empty() => Attribute::Text(a.s),
            UNDEFINED if a.i != 0 => Attribute::Int(a.i),
            UNDEFINED if a.f != 0.0 => Attribute::Float(a.f),
            _ => Attribute::Other,
        };
        Ok((a.name, value))
    }
}

/// A weight that is no number spoils all that it reaches.
fn check_finite(name: &str, tensor: &HostTensor) -> Result<(), String> {
    let super::host::Values::Float(values) = &tensor.values else { return Ok(()) };
    // ±∞ is a sensible bound for Clip and filler for masks; a large tensor of weights has none.
    let broken = values.iter().filter(|v| v.is_nan()).count();
    if broken > 0 {
        return Err(format!("has {broken} of the {} values of {name:?} that are not numbers (NaN)", values.len()));
    }
    Ok(())
}

/// An input or output as the file describes it.
fn port(info: &ValueInfoProto) -> Result<Port, String> {
    let mut port = Port { name: info.name.clone(), element: None, dims: None, layout: Layout::Nchw };
    if info.is_other {
        return Err(format!("has {:?}, which is a sequence, map or optional and no tensor", info.name));
    }
    port.element = ElementType::from_onnx(info.elem_type);
    if port.element.is_none() && info.elem_type != 0 {
        return Err(format!("has {:?} of an element type that is neither float, integer nor boolean", info.name));
    }
    let dim = |(size, name): &(Option<i64>, String)| match size.map(usize::try_from) {
        // Exporters write 0 and −1 for what may vary.
        Some(Ok(n)) if n > 0 => Dim::Fixed(n),
        _ if !name.is_empty() => Dim::Named(name.clone()),
        _ => Dim::Unknown,
    };
    port.dims = info.shape.as_ref().map(|shape| shape.iter().map(dim).collect());
    Ok(port)
}
