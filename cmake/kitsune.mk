# Kitsune for GNU make. In a Makefile:
#
#   include $(shell pkg-config --variable=makefile kitsune)       (or: $(shell kcc --kitsune-print=make))
#
#   $(eval $(call kitsune_program,NAME,SOURCES))                  the updatable program NAME
#   $(eval $(call kitsune_transformer,STAMP,OLD,NEW,RULES))       transformers from the file OLD to the file NEW, by RULES (may be empty);
#                                                                 STAMP is the target that stands for them
#   $(call kitsune_install,NAME,FOLDER)                           in a recipe: installs a version with its transformers
#
# CC, CPPFLAGS, CFLAGS, LDFLAGS, LDLIBS mean what they always mean; CC is the compiler behind kcc (or kcc itself), and what a program
# needs on top goes into NAME_CPPFLAGS, NAME_CFLAGS, NAME_LDFLAGS, NAME_LDLIBS. Objects and lists of headers lie in
# $(KITSUNE_OBJECTS)/NAME. KITSUNE_ROOT is what the file parts of keys are relative to, for sources named by absolute paths.

ifndef KITSUNE_MAKEFILE
KITSUNE_MAKEFILE := $(realpath $(lastword $(MAKEFILE_LIST)))
kitsune_top := $(patsubst %/,%,$(dir $(patsubst %/,%,$(dir $(KITSUNE_MAKEFILE)))))

# In the npm package or a clone the tools stand beside this file; in an installed prefix (PREFIX/share/kitsune) they are in PATH, and
# told to use the prefix's library.
# (npm leaves links out of a package: there the tools have their files' own names.)
kitsune_tool = $(firstword $(wildcard $(addprefix $(kitsune_top)/bin/,$(1) $(1).js)) $(1))
ifeq ($(wildcard $(kitsune_top)/bin/kcc.js),)
kitsune_prefix := $(patsubst %/,%,$(dir $(kitsune_top)))
kitsune_home := --kitsune-home=$(kitsune_prefix)
kitsune_environment := KITSUNE_HOME=$(kitsune_prefix)
endif

KITSUNE_KCC ?= $(call kitsune_tool,kcc)
KITSUNE_XFGEN ?= $(call kitsune_tool,kitsune-xfgen)
KITSUNE_OBJECTS ?= .kitsune
KITSUNE_ROOT ?= $(CURDIR)

# kcc in front of CC, unless CC is kcc.
kitsune_cc = $(if $(filter kcc ktcc kcc.js,$(notdir $(CC))),$(CC) $(kitsune_options),$(KITSUNE_KCC) $(kitsune_options) --kitsune-launch $(CC))
kitsune_options = $(kitsune_home) --kitsune-root=$(KITSUNE_ROOT)

# Where the object of a source lies: absolute names and steps upwards become folders of their own.
kitsune_object = $(KITSUNE_OBJECTS)/$(1)/$(subst ../,up/,$(patsubst /%,%,$(basename $(2)))).o

define kitsune_object_rule
$(call kitsune_object,$(1),$(2)): $(2)
	@mkdir -p $$(@D)
	$$(kitsune_cc) $$(CPPFLAGS) $$($(1)_CPPFLAGS) $$(CFLAGS) $$($(1)_CFLAGS) -MMD -MP -c -o $$@ $$<

endef

define kitsune_program
$(foreach source,$(2),$(call kitsune_object_rule,$(1),$(source)))
$(1): $(foreach source,$(2),$(call kitsune_object,$(1),$(source)))
	$$(kitsune_cc) $$(CFLAGS) $$($(1)_CFLAGS) $$(LDFLAGS) $$($(1)_LDFLAGS) -o $$@ $$^ $$($(1)_LDLIBS) $$(LDLIBS)

-include $(foreach source,$(2),$(patsubst %.o,%.d,$(call kitsune_object,$(1),$(source))))
endef

define kitsune_transformer
$(1): $(2) $(3) $(4)
	$$(kitsune_environment) CC='$$(CC)' $$(KITSUNE_XFGEN) --shared --depfile $$@.d --stamp $$@ $(2) $(3) $(4)

-include $(1).d
endef

# Installed by rename: a file that somebody may be loading is never seen half written.
define kitsune_install
mkdir -p $(2)
install -m 755 $(1) $(2)/.$(notdir $(1)).new
mv -f $(2)/.$(notdir $(1)).new $(2)/$(notdir $(1))
if [ -d $(1).kitsune ]; then mkdir -p $(2)/$(notdir $(1)).kitsune && install -m 755 $(1).kitsune/*.so $(2)/$(notdir $(1)).kitsune/; fi
endef
endif
