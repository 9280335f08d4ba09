// The Python module over the C interface: checks arguments, releases the GIL.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <stdexcept>

#include "haste.h"

namespace nb = nanobind;

using Floats = nb::ndarray<const float, nb::c_contig, nb::device::cpu>;
using Longs = nb::ndarray<const int64_t, nb::c_contig, nb::device::cpu>;
using Images = nb::ndarray<const float, nb::ndim<4>, nb::c_contig, nb::device::cpu>;
using Levels = nb::ndarray<const int32_t, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using Logits = nb::ndarray<float, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using Times = nb::ndarray<int64_t, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using Totals = nb::ndarray<int64_t, nb::ndim<3>, nb::c_contig, nb::device::cpu>;

namespace {

const haste_implementation* find(const std::string& name) {
  for (int i = 0; const haste_implementation* one = haste_available(i); i++)
    if (name == one->name) return one;
  throw std::invalid_argument("implementation '" + name + "' does not run on this machine");
}

struct Method {
  haste_method value{};
  std::vector<Floats> floats;
  std::vector<Longs> longs;
};

Method make_method(int patch_outputs, bool skip, int merge, bool centre, bool drop_zero,
                   std::optional<float> tolerance, float threshold, Floats norms,
                   std::vector<std::tuple<int, Floats, Longs>> planes) {
  Method m;
  if (merge < HASTE_MEAN || merge > HASTE_NO_MERGE)
    throw std::invalid_argument("merge is 0 (mean), 1 (projection) or 2 (none)");
  m.value = {1, patch_outputs, skip, merge, centre, drop_zero, tolerance.value_or(-1.0f), threshold, norms.data(),
             {}, {}, {}};
  m.floats.push_back(norms);
  for (auto& [kind, plane, flops] : planes) {
    if (kind < 0 || kind > 3 || plane.ndim() != 2 || plane.shape(0) != HASTE_MAX_PLANES ||
        flops.size() != HASTE_MAX_PLANES + 1)
      throw std::invalid_argument("planes must be (32, positions) with 33 costs, of one of four window sizes");
    m.value.positions[kind] = (int)plane.shape(1);
    m.value.planes[kind] = plane.data();
    m.value.hash_flops[kind] = flops.data();
    m.floats.push_back(plane);
    m.longs.push_back(flops);
  }
  return m;
}

struct Operation {
  haste_operation value{};
  std::optional<Floats> weight, bias;
  std::optional<Method> method;
};

Operation make_operation(int kind, int in, int out, int residual, int kernel, int stride, int padding, bool relu,
                         std::optional<Floats> weight, std::optional<Floats> bias, std::optional<Method> method) {
  Operation o;
  o.value = {kind, in, out, residual, kernel, stride, padding, relu, weight ? weight->data() : nullptr,
             bias ? bias->data() : nullptr, method ? method->value : haste_method{}};
  o.weight = weight;
  o.bias = bias;
  o.method = method;
  return o;
}

class Program {
 public:
  Program(const std::string& name, std::vector<std::tuple<int, int, int, int>> buffers,
          const std::vector<Operation>& operations, int threads)
      : implementation_(find(name)) {
    std::vector<haste_buffer> shapes;
    for (auto& [height, width, channels, border] : buffers) shapes.push_back({height, width, channels, border});
    std::vector<haste_operation> values;
    for (const Operation& o : operations) {
      check(o, shapes);
      values.push_back(o.value);
    }
    program_ = implementation_->create(shapes.data(), (int)shapes.size(), values.data(), (int)values.size(), threads);
    if (!program_) throw std::invalid_argument(implementation_->error());
    input_ = shapes[values.front().in];
    outputs_ = shapes[values.back().out].channels;
    operations_ = values.size();
  }
  ~Program() {
    if (program_) implementation_->destroy(program_);
  }
  Program(const Program&) = delete;

  void run(Images images, Levels levels, Logits out, Totals counts, std::optional<Times> times) {
    const size_t n = images.shape(0);
    if (images.shape(1) != (size_t)input_.channels || images.shape(2) != (size_t)input_.height ||
        images.shape(3) != (size_t)input_.width || levels.shape(0) != operations_ || levels.shape(1) != n ||
        out.shape(0) != n || out.shape(1) != (size_t)outputs_ || counts.shape(0) != operations_ ||
        counts.shape(1) != n || counts.shape(2) != HASTE_COUNTS ||
        (times && (times->shape(0) != operations_ || times->shape(1) != HASTE_TIMES)))
      throw std::invalid_argument("the shapes of images, levels, logits, counts and times do not fit the program");
    for (size_t i = 0; i < levels.size(); i++)
      if (const int level = levels.data()[i];
          level != HASTE_DENSE && level != HASTE_EXACT && !(level >= 1 && level <= HASTE_MAX_PLANES) &&
          !(level > HASTE_ZEROS && level <= HASTE_ZEROS + HASTE_MAX_PLANES))
        throw std::invalid_argument("a level is -1 (dense), 0 (exact), 1..32, or 64 more where nothing is merged");
    nb::gil_scoped_release released;
    if (implementation_->run(program_, images.data(), (int)n, levels.data(), out.data(), counts.data(),
                             times ? times->data() : nullptr))
      throw std::runtime_error(implementation_->error());
  }

 private:
  static void check(const Operation& o, const std::vector<haste_buffer>& shapes) {
    const haste_operation& v = o.value;
    const int n = (int)shapes.size();
    if (v.in < 0 || v.in >= n || v.out < 0 || v.out >= n || v.residual < -1 || v.residual >= n)
      throw std::invalid_argument("an operation names a buffer that does not exist");
    if (v.kind != HASTE_CONV && v.kind != HASTE_LINEAR) return;
    const size_t taps = v.kind == HASTE_CONV ? (size_t)v.kernel * v.kernel : 1;
    const size_t in = shapes[v.in].channels, out = shapes[v.out].channels;
    if (!o.weight || o.weight->size() != in * out * taps || (o.bias && o.bias->size() != out))
      throw std::invalid_argument("a layer's weights do not fit its buffers");
    if (o.method && o.method->floats.front().size() != in)
      throw std::invalid_argument("a layer's norms do not fit its input");
  }

  const haste_implementation* implementation_;
  haste_program* program_ = nullptr;
  haste_buffer input_{};
  int outputs_ = 0;
  size_t operations_ = 0;
};

}  // namespace

NB_MODULE(_kernel, m) {
  m.def("implementations", [] {
    std::vector<std::string> names;
    for (int i = 0; const haste_implementation* one = haste_available(i); i++) names.push_back(one->name);
    return names;
  });
  m.def("measure", [](const std::string& name) {
    const haste_implementation* one = find(name);
    nb::gil_scoped_release released;
    return std::make_tuple(one->peak_gflops(), one->bandwidth_gbs());
  });
  nb::class_<Method>(m, "Method");
  m.def("method", &make_method, nb::kw_only(), nb::arg("patch_outputs"), nb::arg("skip"), nb::arg("merge"), nb::arg("centre"),
        nb::arg("drop_zero"), nb::arg("tolerance").none(), nb::arg("threshold"), nb::arg("norms"), nb::arg("planes"));
  nb::class_<Operation>(m, "Operation");
  m.def("operation", &make_operation, nb::kw_only(), nb::arg("kind"), nb::arg("input"), nb::arg("output"),
        nb::arg("residual") = -1, nb::arg("kernel") = 1, nb::arg("stride") = 1, nb::arg("padding") = 0,
        nb::arg("relu") = false, nb::arg("weight").none() = nb::none(), nb::arg("bias").none() = nb::none(),
        nb::arg("method").none() = nb::none());
  nb::class_<Program>(m, "Program")
      .def(nb::init<const std::string&, std::vector<std::tuple<int, int, int, int>>, const std::vector<Operation>&,
                    int>(),
           nb::arg("implementation"), nb::arg("buffers"), nb::arg("operations"), nb::arg("threads"))
      .def("run", &Program::run, nb::arg("images"), nb::arg("levels"), nb::arg("logits"), nb::arg("counts"),
           nb::arg("times").none() = nb::none());
}
