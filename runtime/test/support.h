/* support.h - what every test needs: cmocka and its prerequisites in their order. */
#ifndef KT_TEST_SUPPORT_H
#define KT_TEST_SUPPORT_H
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#endif
