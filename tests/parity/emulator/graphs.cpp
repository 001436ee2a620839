// The emulator's graphs: the work of a capture, in the order of its calls.
#include "emulator_internal.h"

#include <cstdlib>
#include <memory>
#include <set>
#include <vector>

struct EmulatedGraph {
  std::vector<Work> work;
};

struct EmulatedGraphExec {
  std::shared_ptr<const std::vector<Work>> work;
};

namespace {

std::set<EmulatedGraph*>&
graphs()
{
  static auto* const all = new std::set<EmulatedGraph*>;
  return *all;
}

std::set<EmulatedGraphExec*>&
executables()
{
  static auto* const all = new std::set<EmulatedGraphExec*>;
  return *all;
}

// EMULATOR_LOST_AT_GRAPH.
bool
is_the_last_graph()
{
  static const char* const value = getenv("EMULATOR_LOST_AT_GRAPH");
  static long              left  = value ? strtol(value, nullptr, 10) : 0;
  return left > 0 && --left == 0;
}

} // namespace

cudaGraph_t
new_graph(std::vector<Work> work)
{
  cudaGraph_t const graph = new EmulatedGraph{ std::move(work) };
  graphs().insert(graph);
  count_handle(1);
  return graph;
}

cudaError_t
cudaGraphInstantiate(cudaGraphExec_t*   executable,
                     cudaGraph_t        graph,
                     unsigned long long flags)
{
  Gate gate;
  *executable = nullptr;
  if (!gate) {
    return gate.error();
  }
  if (!graphs().count(graph) || flags > 15u) {
    return gate.end(cudaErrorInvalidValue);
  }
  *executable = new EmulatedGraphExec{
    std::make_shared<const std::vector<Work>>(graph->work)
  };
  executables().insert(*executable);
  count_handle(1);
  return gate.end(cudaSuccess);
}

cudaError_t
cudaGraphUpload(cudaGraphExec_t executable, cudaStream_t)
{
  Gate gate;
  if (!gate) {
    return gate.error();
  }
  return gate.end(executables().count(executable) ? cudaSuccess
                                                  : cudaErrorInvalidValue);
}

cudaError_t
cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream)
{
  Gate gate;
  if (!gate) {
    return gate.error();
  }
  if (!executables().count(executable)) {
    return gate.end(cudaErrorInvalidValue);
  }
  if (is_the_last_graph()) {
    fault(cudaErrorIllegalAddress, "the device is lost, as asked for");
    return gate.end(cudaErrorIllegalAddress);
  }
  return gate.end(submit(stream, Asked::graph, [all = executable->work] {
    for (const Work& work : *all) {
      if (lost() == cudaSuccess) {
        work();
      }
    }
  }));
}

cudaError_t
cudaGraphExecDestroy(cudaGraphExec_t executable)
{
  Release release;
  if (!executables().erase(executable)) {
    return release.end(cudaErrorInvalidValue);
  }
  delete executable;
  count_handle(-1);
  return release.end(cudaSuccess);
}

cudaError_t
cudaGraphDestroy(cudaGraph_t graph)
{
  Release release;
  if (!graphs().erase(graph)) {
    return release.end(cudaErrorInvalidValue);
  }
  delete graph;
  count_handle(-1);
  return release.end(cudaSuccess);
}
