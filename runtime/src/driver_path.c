/*
 * driver_path.c - where the driver was installed, for versions to which kcc did not link another
 * path.
 */
__attribute__((visibility("hidden"))) extern const char kt_driver_path[];
const char kt_driver_path[] = KT_DEFAULT_DRIVER;
