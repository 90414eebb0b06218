// A model, a folder of images of some of its classes (FOLDER/<class>/<image>), and what the adapted model says about
// other images: what `holt adapt` and `holt predict` do, as a program of one's own.
//
//   minimal_transfer MODEL.safetensors FOLDER IMAGE… [--steps=N]
#include <cstdio>
#include <cstring>

#include "data/class_folder.h"
#include "transfer/adapt.h"

int main(int argc, char** argv) try {
  using namespace holt;
  transfer::Options options;
  if (argc > 1 && std::strncmp(argv[argc - 1], "--steps=", 8) == 0) transfer::set(options, "steps", argv[--argc] + 8);
  if (argc < 4) {
    std::fprintf(stderr, "usage: minimal_transfer MODEL.safetensors FOLDER IMAGE… [--steps=N]\n");
    return 2;
  }

  transfer::LoadedClassifier loaded = transfer::load_classifier(argv[1]);
  nn::Model& source = *loaded.classifier.model;
  const std::vector<std::string>& classes = loaded.usage.classes;
  const data::Normalize normalize{loaded.usage.mean, loaded.usage.std};
  const data::Frame frame = transfer::input_frame(loaded);

  // The classes without a folder are missing: the method keeps them.
  const transfer::Task task =
      transfer::own_task(data::load_class_folder(argv[2], classes, {.frame = frame}), normalize);
  const transfer::Method method = transfer::parse_method("holt", options);
  transfer::prepare_source(source, Device::cpu);
  const transfer::Adapted adapted = transfer::adapt(source, task, method, options, {.seed = 0});
  std::printf("adapted to %zu of %zu classes in %.1f s\n", task.split.seen.size(), classes.size(), adapted.seconds);
  transfer::save_classifier("adapted.safetensors", adapted.classifier, loaded.usage);

  std::vector<data::ImageFile> files;
  for (int i = 3; i < argc; ++i) files.push_back({argv[i], 0});
  const data::Dataset images = data::load_image_files("images", files, classes, {.frame = frame});
  const auto guesses = transfer::predict(adapted.classifier, images, normalize, Device::cpu, 1);
  for (size_t i = 0; i < files.size(); ++i)
    std::printf("%s: %s (%.1f %%)\n", files[i].path.c_str(), classes[guesses[i][0].label].c_str(),
                100 * guesses[i][0].probability);
} catch (const std::exception& e) {
  std::fprintf(stderr, "%s\n", e.what());
  return 1;
}
