"""Flags of all suites."""

from absl import flags

DATASET = flags.DEFINE_string("dataset", "", "as for the evaluation; by default folder with --data_dir, else demo")
DATA_DIR = flags.DEFINE_string("data_dir", "", "directory that holds the categories; by default the demo set")
CATEGORY = flags.DEFINE_string("category", "", "of the data; by default the first")
ENCODER = flags.DEFINE_string("encoder", "efficientnet_lite0", "encoder")
WEIGHTS = flags.DEFINE_string("weights", "", "of the encoder; by default its pretrained ones")
BATCH_SIZE = flags.DEFINE_integer("batch_size", 8, "images in a batch", lower_bound=1)
THREADS = flags.DEFINE_integer("threads", 0, "that decode; 0 for one a processor", lower_bound=0)
REPEATS = flags.DEFINE_integer("repeats", 5, "rounds of which the median is taken", lower_bound=1)
ENCODERS = flags.DEFINE_list(
    "encoders", "efficientnet_lite0,resnet18,resnet50,wide_resnet50_2", "of suites `encoder` and `pipeline`"
)
METHODS = flags.DEFINE_list("methods", "fastrecon", "of suite `pipeline`")
BATCHES = flags.DEFINE_list("batches", "1,8,32", "batch sizes of the same")
IMAGE_SIZES = flags.DEFINE_list("image_sizes", "224", "sides of the images of suite `encoder`, in pixels")
TORCH_COMPILE = flags.DEFINE_boolean("torch_compile", False, "compare with torch.compile too; it takes minutes")
ROWS = flags.DEFINE_list("rows", ["6272", "156800"], "of the coreset's pools")
CHANNELS = flags.DEFINE_integer("channels", 1536, "of the coreset's pools without --data_dir", lower_bound=1)
LONG = flags.DEFINE_bool("long", False, "coresets of 10 % of pools above 10,000 rows too")
WORKERS = flags.DEFINE_list("workers", "1,2,4", "numbers of workers of suite `scale`")
IMAGES = flags.DEFINE_integer("images", 480, "photographs of suite `scale`", lower_bound=96)
FIGURES = flags.DEFINE_string(
    "figures",
    "",
    "file that suites `first`, `fit`, `peers`, `predict` and `scale` write their figures into, such as "
    "docs/figures/scale.json",
)
OF_CORES = flags.DEFINE_bool(
    "of_cores", False, "suite `pipeline` measures seconds of all cores together, where other programs use them, too"
)
DTYPE = flags.DEFINE_string("dtype", "float32", "of the encoders of suite `pipeline`")
GOOD = flags.DEFINE_list(
    "good", ["8"], "of suites `first` and `peers` (one number), `fit`, `pipeline` and `predict`: numbers of good images"
)
DIVIDED = flags.DEFINE_list("divided", ["1", "auto"], "of suite `predict`: values of --cpu_devices")
PEER_PYTHON = flags.DEFINE_string(
    "peer_python", "", "of suite `peers`: the Python that has anomalib installed; by default this one"
)
